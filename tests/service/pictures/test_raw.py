"""Camera raw: developed right, turned, answered as JPEG or in 16 bits, refused by name, and never its thumbnail."""

from __future__ import annotations

import dataclasses
import io
import time

import cv2
import numpy as np
import pytest
from PIL import Image

from service.errors import UnreadablePicture, UnsupportedFormat, UnsupportedShape
from service.pictures import Limits, PictureFormat, decode, encode, inspect
from service.pictures._codecs import _raw
from service.pictures._codecs._raw_kinds import is_cut_short, is_raw
from tests.pictures import scene
from tests.service.pictures.files import color_pixels, pillow_file, tiff_file
from tests.service.pictures.raw_files import BLACK, dng, light, mosaic, thumbnail_first

SIZE = (96, 144)
MAKERS = [("NIKON CORPORATION", "NIKON D850"), ("SONY", "ILCE-7M3"), ("PENTAX", "PENTAX K-1")]


def smooth(pixels: np.ndarray) -> np.ndarray:
    """Without what demosaicing invents between the samples."""
    return cv2.blur(pixels.astype(np.float32), (9, 9))[8:-8, 8:-8]


@pytest.mark.parametrize("neutral", [(1, 1, 1), (0.45, 1, 0.6)], ids=["daylight", "another light"])
def test_a_raw_file_is_developed_by_the_camera_s_white_balance(neutral: tuple) -> None:
    picture = decode(dng(mosaic(light(), exposure=0.7, neutral=neutral), neutral=neutral))
    assert picture.format is PictureFormat.RAW
    assert picture.pixels.dtype == np.uint16
    linear = light() * 0.7  # beyond 0.75 LibRaw takes the brightest count for white
    expected = 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert np.abs(smooth(picture.pixels / 257) - smooth(expected)).mean() < 1.5


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_it_is_turned_upright_once(orientation: int, turns: int) -> None:
    file = dng(mosaic(light()), orientation=orientation)
    picture = decode(file)
    assert np.array_equal(picture.pixels, np.rot90(decode(dng(mosaic(light()))).pixels, turns))
    header = inspect(file)
    assert (header.height, header.width) == picture.pixels.shape[:2]


@pytest.mark.parametrize(("maker", "model"), MAKERS)
def test_the_sensor_counts_and_not_the_thumbnail(maker: str, model: str) -> None:
    picture = decode(thumbnail_first(mosaic(light()), maker, model))
    assert picture.pixels.shape == (*SIZE, 3)
    sharpness = np.corrcoef(picture.pixels.mean(axis=2).ravel(), scene("coffee", SIZE).mean(axis=2).ravel())[0, 1]
    assert sharpness > 0.9
    assert Image.open(io.BytesIO(encode(picture, format=PictureFormat.JPEG))).getexif()[0x010F] == maker


def test_answers_are_jpeg_or_sixteen_bit_tiff() -> None:
    assert PictureFormat.RAW.answered_as is PictureFormat.JPEG
    picture = decode(dng(mosaic(light())))
    assert np.array_equal(decode(encode(picture, format=PictureFormat.TIFF)).pixels, picture.pixels)


def test_a_dark_raw_file_keeps_more_of_the_shadows_than_its_jpeg() -> None:
    """Both are brightened by the same gain in linear light, and compared with the scene where it is darkest."""
    exposure = 1 / 64
    raw = decode(dng(mosaic(light(), exposure=exposure)))
    jpeg = decode(encode(dataclasses.replace(raw), format=PictureFormat.JPEG, quality=95))
    truth = smooth(light())
    shadows = truth < np.percentile(truth, 30)
    errors = {}
    for name, code in (("raw", raw.pixels / 65535), ("jpeg", jpeg.pixels / 255)):
        linear = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
        errors[name] = float(np.abs(smooth(linear / exposure) - truth)[shadows].mean())
    assert errors["raw"] < errors["jpeg"] / 3, errors


def test_without_the_extra_it_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_raw, "reads_raw", lambda: False)
    for file in (dng(mosaic(light())), *(thumbnail_first(mosaic(light()), *maker) for maker in MAKERS)):
        with pytest.raises(UnsupportedFormat, match=r"camera raw.*nightlift\[raw\]"):
            inspect(file)


@pytest.mark.parametrize(
    "head",
    [
        b"FUJIFILMCCD-RAW 0201",
        b"IIRO\x08\0\0\0",
        b"IIU\0\x18\0\0\0",
        b"II*\0\x10\0\0\0CR\2\0",
        b"\0\0\0\x18ftypcrx \0\0\0\1crx isom",
    ],
    ids=["RAF", "ORF", "RW2", "CR2", "CR3"],
)
def test_makers_formats_are_known_by_their_first_bytes(head: bytes) -> None:
    assert is_raw(head + bytes(200))
    with pytest.raises((UnsupportedFormat, UnreadablePicture), match="camera raw file"):
        inspect(head + bytes(200))


@pytest.mark.parametrize(
    "file",
    [
        tiff_file(color_pixels(), photometric="rgb"),
        tiff_file(color_pixels(), photometric="rgb", subfiletype=1),
        pillow_file(color_pixels(), "TIFF"),
        pillow_file(color_pixels(), "JPEG"),
        b"II*\0" + bytes(100),
        b"",
    ],
)
def test_other_files_are_no_raw_files(file: bytes) -> None:
    assert not is_raw(file)


def test_limits_hold_before_anything_is_developed() -> None:
    with pytest.raises(UnsupportedShape):
        decode(dng(mosaic(light())), Limits(max_pixels=SIZE[0] * SIZE[1] - 1))


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_damaged_files_are_refused(kept: float) -> None:
    file = dng(mosaic(light()))
    with pytest.raises((UnreadablePicture, UnsupportedFormat)):
        decode(file[: int(kept * len(file))])


@pytest.mark.parametrize("kept", [0.003, 0.5, 0.99])
def test_what_lacks_tiles_is_not_developed_as_black(kept: float) -> None:
    file = dng(mosaic(light(size=(256, 384))), tile=(128, 128))
    assert decode(file).pixels.any()
    with pytest.raises((UnreadablePicture, UnsupportedFormat)):
        decode(file[: int(kept * len(file))])


def test_a_file_that_is_too_small_for_its_pixels_is_cut_short() -> None:
    head = b"IIU\0" + bytes(12_000)
    assert is_cut_short(head, 10_000_000)
    assert not is_cut_short(head, 3_000_000)


def test_a_process_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    slow = tmp_path / "slow.py"
    slow.write_text("import sys, time\nsys.stdin.buffer.read()\ntime.sleep(60)\n")
    monkeypatch.setattr(_raw, "_CHILD", slow)
    monkeypatch.setattr(_raw, "_HEADER_SECONDS", 0.5)
    start = time.monotonic()
    with pytest.raises(UnreadablePicture, match=r"exceeded 0\.5 s"):
        inspect(dng(mosaic(light())))
    assert time.monotonic() - start < 10


def test_a_process_that_crashes_takes_nobody_with_it(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    crash = tmp_path / "crash.py"
    crash.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setattr(_raw, "_CHILD", crash)
    with pytest.raises(UnreadablePicture, match="camera raw"):
        inspect(dng(mosaic(light(size=(600, 800)))))


def test_black_stays_black() -> None:
    dark = np.full(SIZE, BLACK, np.uint16)
    assert decode(dng(dark)).pixels.max() == 0
