"""JPEG files without an end marker: sound where their scans are complete, whatever lies behind them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from service.errors import UnreadablePicture
from service.pictures import decode
from tests.service.pictures.files import color_pixels, grey_pixels, pillow_file

BUSY = np.random.default_rng(0).integers(0, 256, (48, 72, 3), np.uint8)
KINDS = {
    "baseline": {},
    "subsampled": {"subsampling": 2},
    "optimized": {"optimize": True},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_blocks": 2},
    "progressive with restarts": {"progressive": True, "restart_marker_blocks": 3},
}
TRAILERS = {
    "nothing": b"",
    "a phone's own": b"SEFH" + bytes(range(255)),
    "zeros": bytes(100),
    "another picture": pillow_file(color_pixels(), "JPEG"),
    "a cut segment": b"\xff\xe1\x40\x00Exif",
}


@pytest.mark.parametrize("trailer", TRAILERS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_complete_picture_needs_no_end(kind: str, trailer: str) -> None:
    file = pillow_file(BUSY, "JPEG", **KINDS[kind])
    assert file.endswith(b"\xff\xd9")
    assert np.array_equal(decode(file[:-2] + TRAILERS[trailer]).pixels, decode(file).pixels)


@pytest.mark.parametrize("lost", [4, 20, 200, 1000])
@pytest.mark.parametrize("trailer", ["nothing", "a cut segment", "another picture"])
@pytest.mark.parametrize("kind", KINDS)
def test_missing_rows_are_refused(kind: str, trailer: str, lost: int) -> None:
    file = pillow_file(BUSY, "JPEG", **KINDS[kind])
    with pytest.raises(UnreadablePicture):
        decode(file[: -2 - lost] + TRAILERS[trailer])


def test_missing_scans_are_refused() -> None:
    file = pillow_file(BUSY, "JPEG", progressive=True)
    for scan in range(2, file.count(b"\xff\xda") + 1):
        with pytest.raises(UnreadablePicture):
            decode(file[: find(file, scan)])


def find(file: bytes, scan: int) -> int:
    """Where a scan of a number begins, its tables included."""
    position = -1
    for _ in range(scan):
        position = file.index(b"\xff\xda", position + 1)
    tables = file.rfind(b"\xff\xc4", 0, position)
    return tables if file.find(b"\xff\xda", tables) == position else position


def test_grey_and_cmyk_alike() -> None:
    for image in (Image.fromarray(grey_pixels()), Image.fromarray(BUSY).convert("CMYK")):
        file = pillow_file(image, "JPEG")
        assert np.array_equal(decode(file[:-2]).pixels, decode(file).pixels)
        with pytest.raises(UnreadablePicture):
            decode(file[:-60])


def test_a_picture_without_its_followers_is_one() -> None:
    first = Image.fromarray(BUSY)
    file = pillow_file(first, "MPO", save_all=True, append_images=[first.rotate(180)], quality=95)
    second = file.index(b"\xff\xd8\xff", 100)
    assert np.array_equal(decode(file[:second]).pixels, decode(file).pixels)
    assert np.array_equal(decode(file[: second - 2]).pixels, decode(file).pixels)
