"""Colours under profiles against the textbook's formulas."""

from __future__ import annotations

import threading
import time
import tracemalloc

import numpy as np
import pytest
from PIL import ImageCms

from service.pictures import Picture, decode, to_8_bit
from service.pictures._colour import usable_profile
from tests.service.pictures.files import color_pixels, grey_pixels, pillow_file
from tests.service.pictures.profiles import SRGB_COLORANTS, elements_profile, grey_profile, p3_to_srgb, rgb_profile

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def picture(icc: bytes | None, format: str = "PNG") -> Picture:
    return decode(pillow_file(color_pixels(), format, icc_profile=icc))


def test_display_p3_by_the_formula() -> None:
    converted = picture(rgb_profile()).srgb(color_pixels())
    assert converted.dtype == np.uint8
    assert np.abs(converted - p3_to_srgb(color_pixels())).max() <= 2
    assert np.abs(converted.astype(int) - color_pixels()).max() > 20


def test_sixteen_bit_pixels_are_rounded_then_converted() -> None:
    deep = color_pixels(16)
    assert np.array_equal(picture(rgb_profile()).srgb(deep), picture(rgb_profile()).srgb(to_8_bit(deep)))


@pytest.mark.parametrize("icc", [None, SRGB])
def test_srgb_is_left_alone(icc: bytes | None) -> None:
    source = picture(icc)
    assert source.is_srgb
    assert source.srgb(source.pixels) is source.pixels


def test_a_profile_is_srgb_by_its_colors_not_by_its_name() -> None:
    assert not picture(rgb_profile()).is_srgb
    assert not picture(rgb_profile(SRGB_COLORANTS, gamma=1.8)).is_srgb


def test_grey_profile() -> None:
    source = decode(pillow_file(grey_pixels(), "PNG", icc_profile=grey_profile(1.8)))
    assert source.is_grey
    assert source.icc == grey_profile(1.8)
    linear = (grey_pixels() / 255) ** 1.8
    expected = 255 * (1.055 * linear ** (1 / 2.4) - 0.055)
    converted = source.srgb(source.pixels)
    assert converted.shape == (48, 72, 3)
    assert np.abs(converted - expected[..., None]).max() <= 2


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_profiles_beyond_four_mebibytes_are_dropped_in_every_format(format: str) -> None:
    profile = rgb_profile()
    assert picture(profile.ljust(4 * 2**20, b"\0"), format).icc is not None
    assert picture(profile.ljust(4 * 2**20 + 1, b"\0"), format).icc is None


def test_elements_of_a_profile_are_not_computed() -> None:
    start = time.process_time()
    source = picture(elements_profile(3000))
    converted = source.srgb(source.pixels)
    assert time.process_time() - start < 0.5
    assert source.icc is not None
    assert np.array_equal(converted, picture(rgb_profile()).srgb(source.pixels))


@pytest.mark.parametrize("profile", [rgb_profile(), rgb_profile()[:128]], ids=["usable", "unusable"])
def test_profiles_do_not_stay_in_memory(profile: bytes) -> None:
    tracemalloc.start()
    for number in range(16):
        usable_profile(profile + number.to_bytes(2**20, "big"), "rgb")
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 2**19


def test_to_8_bit_rounds_every_value_to_the_nearest() -> None:
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    assert np.array_equal(to_8_bit(levels), np.rint(levels / 257).astype(np.uint8))
    assert to_8_bit(color_pixels()).dtype == np.uint8


def test_threads_share_a_transform() -> None:
    source = picture(rgb_profile())
    expected = source.srgb(source.pixels)
    wrong = []

    def convert() -> None:
        for _ in range(50):
            if not np.array_equal(source.srgb(source.pixels), expected):
                wrong.append(threading.get_ident())

    threads = [threading.Thread(target=convert) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
