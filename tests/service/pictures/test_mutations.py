"""Whatever the bytes: a picture within the limits, or one of our own errors; and what decodes can be encoded."""

from __future__ import annotations

import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from service.errors import NightliftError
from service.pictures import WRITTEN_FORMATS, Limits, decode, encode
from tests.service.pictures.seeds import SEEDS

# pytest resets the filter that the service sets for Pillow's remarks about damaged files.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")
LIMITS = Limits(max_pixels=10_000)


@st.composite
def mutations(draw: st.DrawFn, seed: bytes) -> bytes:
    """The seed with a few bytes changed, a stretch removed, doubled or blanked, mostly near the start; or cut."""
    data = bytearray(seed)
    reach = draw(st.sampled_from([64, 512, len(data)]))
    for _ in range(draw(st.integers(0, 6))):
        data[draw(st.integers(0, min(reach, len(data)) - 1))] = draw(st.integers(0, 255))
    start = draw(st.integers(0, min(reach, len(data)) - 1))
    stretch = slice(start, start + draw(st.integers(0, 32)))
    match draw(st.sampled_from(["none", "remove", "double", "blank", "cut"])):
        case "remove":
            del data[stretch]
        case "double":
            data[start:start] = data[stretch]
        case "blank":
            data[stretch] = b"\xff" * len(data[stretch])
        case "cut":
            del data[start:]
    return bytes(data)


@pytest.mark.parametrize("name", SEEDS)
def test_seeds_are_sound(name: str) -> None:
    assert decode(SEEDS[name], LIMITS).pixels.size == 3 * 18 * 24


@pytest.mark.parametrize("name", SEEDS)
@settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_mutated_files(name: str, data: st.DataObject) -> None:
    mutated = data.draw(mutations(SEEDS[name]))
    try:
        picture = decode(mutated, LIMITS)
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
