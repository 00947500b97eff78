"""Answers of a bounded size: averaged over what they stand for, by alpha, with all that the picture has."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from service.pictures import Picture, PictureFormat, decode, encode, fit, fitted_size
from tests.pictures import dark_scene, encoded
from tests.service.pictures.files import exif_block


@pytest.mark.parametrize(
    ("size", "max_side", "expected"),
    [
        ((4000, 3000), 1000, (1000, 750)),
        ((3000, 4000), 1000, (750, 1000)),
        ((4000, 3000), 4000, (4000, 3000)),
        ((4000, 3000), None, (4000, 3000)),
        ((100, 80), 4000, (100, 80)),
        ((1600, 200), 16, (16, 2)),
    ],
)
def test_sizes(size: tuple[int, int], max_side: int | None, expected: tuple[int, int]) -> None:
    assert fitted_size(*size, max_side) == expected


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_pixels_are_means_at_any_depth(kind: type) -> None:
    step = np.iinfo(kind).max // 255
    pixels = dark_scene("coffee", (120, 180)).astype(kind) * kind(step)
    small = fit(Picture(pixels, PictureFormat.PNG), 90).pixels
    assert small.dtype == kind
    means = pixels.reshape(60, 2, 90, 2, 3).mean(axis=(1, 3))
    assert np.abs(small - means).max() <= 1
    picture = Picture(pixels, PictureFormat.PNG)
    assert fit(picture, 180) is picture


def test_hidden_colours_do_not_leak_out() -> None:
    pixels = np.full((40, 60, 3), 200, np.uint8)
    alpha = np.full((40, 60), 255, np.uint8)
    pixels[:, ::2], alpha[:, ::2] = 10, 0
    pixels[:20], alpha[:20] = 77, 0
    small = fit(Picture(pixels, PictureFormat.PNG, alpha=alpha), 30)
    assert small.alpha is not None
    assert (small.alpha[:10] == 0).all()
    assert np.abs(small.alpha[10:].astype(int) - 127.5).max() <= 0.5
    assert (small.pixels[10:] == 200).all()
    assert (small.pixels[:10] == 77).all()


def test_exif_tells_the_new_size() -> None:
    exif = Image.Exif()
    exif.load(exif_block(1))
    exif[0x0100], exif[0x0101] = 300, 200
    exif.get_ifd(0x8769)[0xA002], exif.get_ifd(0x8769)[0xA003] = 300, 200
    picture = decode(encoded(dark_scene("coffee", (200, 300)), "jpeg", quality=90, exif=exif.tobytes()))
    answer = Image.open(io.BytesIO(encode(fit(picture, 100), format=PictureFormat.JPEG)))
    assert answer.size == (100, 67)
    told = answer.getexif()
    assert (told[0x0100], told[0x0101]) == (100, 67)
    assert (told.get_ifd(0x8769)[0xA002], told.get_ifd(0x8769)[0xA003]) == (100, 67)
