"""Large JPEGs written strip by strip: what every decoder reads, and to the last coefficient what one pass writes."""

from __future__ import annotations

import io
import threading

import cv2
import numpy as np
import pytest
import simplejpeg
from PIL import Image

from service.pictures import Picture, PictureFormat, encode
from service.pictures._codecs import _jpeg_strips


def scene(height: int, width: int) -> np.ndarray:
    random = np.random.default_rng(0)
    coarse = random.integers(0, 255, (height // 40 + 2, width // 40 + 2, 3)).astype(np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + random.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)


class Recorded:
    """Writes rows into an array when they are asked for."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = np.zeros_like(pixels)
        self._source = pixels
        self.made: list[tuple[int, int]] = []

    def make(self, first: int, last: int) -> None:
        self.made.append((first, last))
        self.pixels[first:last] = self._source[first:last]

    def make_all(self) -> None:
        self.make(0, len(self.pixels))


@pytest.mark.parametrize("subsampling", ["444", "422", "420", "440", "411"])
@pytest.mark.parametrize(("height", "width"), [(1024, 1024), (1001, 1063), (1089, 1111), (70, 16500), (62000, 17)])
def test_every_decoder_reads_the_pixels_of_one_pass(height: int, width: int, subsampling: str) -> None:
    pixels = scene(height, width)
    assert _jpeg_strips.suits(pixels, subsampling)
    rows = Recorded(pixels)
    picture = Picture(rows.pixels, PictureFormat.JPEG, subsampling=subsampling)
    file = encode(picture, format=PictureFormat.JPEG, quality=85, rows=rows)
    assert sorted(rows.made) == [(top, min(top + 64, height)) for top in range(0, height, 64)]
    whole = simplejpeg.encode_jpeg(pixels, quality=85, colorspace="RGB", colorsubsampling=subsampling)
    expected = simplejpeg.decode_jpeg(whole)
    np.testing.assert_array_equal(simplejpeg.decode_jpeg(file), expected)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(file))), np.asarray(Image.open(io.BytesIO(whole))))
    opened = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(opened[..., ::-1].astype(int) - expected).max() <= 2  # another inverse transform
    # The interval's length, and for each strip a marker, its alignment and colours that are told in full.
    assert len(file) <= len(whole) + 6 + 12 * len(rows.made)


def test_it_is_a_baseline_file_with_restart_markers() -> None:
    file = encode(Picture(scene(1100, 1000), PictureFormat.JPEG), format=PictureFormat.JPEG)
    assert b"\xff\xc0\x00\x11\x08" + (1100).to_bytes(2, "big") + (1000).to_bytes(2, "big") in file
    assert b"\xff\xdd\x00\x04" + (63 * 4).to_bytes(2, "big") + b"\xff\xda" in file
    assert [file.count(bytes((0xFF, 0xD0 + number))) for number in range(8)] == [3, 2, 2, 2, 2, 2, 2, 2]
    assert not Image.open(io.BytesIO(file)).info.get("progressive")


def test_extreme_tables_are_no_markers() -> None:
    """At the lowest quality tables hold 255, the first byte of a marker."""
    pixels = scene(1030, 1030)
    file = encode(Picture(pixels, PictureFormat.JPEG), format=PictureFormat.JPEG, quality=1)
    whole = simplejpeg.encode_jpeg(pixels, quality=1, colorspace="RGB", colorsubsampling="420")
    np.testing.assert_array_equal(simplejpeg.decode_jpeg(file), simplejpeg.decode_jpeg(whole))


@pytest.mark.parametrize("size", [(1024, 1024), (60, 80)])
def test_what_is_not_written_in_strips_is_made_at_once(size: tuple[int, int]) -> None:
    pixels = scene(*size)
    for format, grey in (
        (PictureFormat.PNG, False),
        (PictureFormat.JPEG, True),
        (PictureFormat.JPEG, size[0] < 1000),
    ):
        rows = Recorded(pixels)
        file = encode(Picture(rows.pixels, PictureFormat.JPEG, is_grey=grey), format=format, rows=rows)
        assert file == encode(Picture(pixels, PictureFormat.JPEG, is_grey=grey), format=format)
        if grey or format is PictureFormat.PNG or size[0] < 1000:
            assert rows.made == [(0, size[0])]


def test_a_failure_in_one_strip_is_the_failure_of_the_file() -> None:
    pixels = scene(1100, 1000)

    class Broken(Recorded):
        def make(self, first: int, last: int) -> None:
            if first == 640:
                raise MemoryError(threading.current_thread().name)
            super().make(first, last)

    with pytest.raises(MemoryError):
        encode(Picture(pixels, PictureFormat.JPEG), format=PictureFormat.JPEG, rows=Broken(pixels))
