"""Whatever the bytes: a picture within the limits, or one of our own errors; and what decodes can be encoded."""

from __future__ import annotations

import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from service.errors import NightliftError
from service.pictures import WRITTEN_FORMATS, Limits, decode, encode
from tests.mutations import mutated
from tests.service.pictures.seeds import SEEDS

# pytest resets the filter that the service sets for Pillow's remarks about damaged files.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")
LIMITS = Limits(max_pixels=10_000)


@pytest.mark.parametrize("name", SEEDS)
def test_seeds_are_sound(name: str) -> None:
    assert decode(SEEDS[name], LIMITS).pixels.size == 3 * 18 * 24


@pytest.mark.parametrize("name", SEEDS)
@settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_mutated_files(name: str, data: st.DataObject) -> None:
    file = mutated(data.draw(st.randoms(use_true_random=False)), SEEDS[name], list(SEEDS.values()))
    try:
        picture = decode(file, LIMITS)
    except NightliftError:
        return
    assert picture.width * picture.height <= LIMITS.max_pixels
    picture.srgb(picture.pixels)
    format = data.draw(st.sampled_from(WRITTEN_FORMATS))
    with Image.open(io.BytesIO(encode(picture, format=format))) as image:
        assert image.size == (picture.width, picture.height)
        image.load()
        image.getexif()


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.binary(max_size=200), st.sampled_from([seed[:12] for seed in SEEDS.values()] + [b""]))
def test_noise_behind_a_signature(noise: bytes, signature: bytes) -> None:
    with pytest.raises(NightliftError):
        decode(signature + noise, LIMITS)
