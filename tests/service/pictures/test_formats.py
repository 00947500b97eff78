"""Which format an answer takes, as a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.errors import InvalidParameter, NotAcceptable
from service.pictures import WRITTEN_FORMATS, PictureFormat, check_writable, is_picture, negotiate_format

BROWSER = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"


@pytest.mark.parametrize(
    ("requested", "accept", "source", "expected"),
    [
        (None, None, "jpeg", "jpeg"),
        (None, "", "webp", "webp"),
        (None, "*/*", "tiff", "tiff"),
        (None, BROWSER, "jpeg", "jpeg"),
        (None, None, "bmp", "png"),
        (None, None, "gif", "png"),
        (None, None, "heic", "jpeg"),
        (None, "image/heic", "avif", NotAcceptable),
        ("webp", None, "jpeg", "webp"),
        ("webp", "image/jpeg", "jpeg", "webp"),
        ("gif", None, "gif", InvalidParameter),
        ("exe", None, "jpeg", InvalidParameter),
        (None, "image/png", "jpeg", "png"),
        (None, "IMAGE/PNG", "jpeg", "png"),
        (None, "image/jpg", "jpeg", "jpeg"),
        (None, "image/webp;q=0.4, image/avif;q=0.7", "jpeg", "avif"),
        (None, "image/webp, image/png", "jpeg", "png"),
        (None, "image/jpeg;q=0, */*", "jpeg", "png"),
        (None, "image/*;q=0.5, image/jpeg;q=0", "jpeg", "png"),
        (None, "image/*;q=0, */*", "jpeg", NotAcceptable),
        (None, "application/json", "jpeg", NotAcceptable),
        (None, "application/json, */*;q=0.1", "jpeg", "jpeg"),
        (None, "image/jpeg;q=0.01", "jpeg", "jpeg"),
        (None, "image/png;q=nonsense, image/webp;q=2, image/tiff", "jpeg", "tiff"),
        (None, "image/png ; level=1 ; q=0.3", "jpeg", "png"),
        (None, ",;,", "jpeg", NotAcceptable),
    ],
)
def test_negotiation(requested, accept, source, expected) -> None:
    if isinstance(expected, str):
        assert negotiate_format(requested, accept, PictureFormat(source)) == expected
    else:
        with pytest.raises(expected) as raised:
            negotiate_format(requested, accept, PictureFormat(source))
        assert all(name.value in raised.value.detail for name in WRITTEN_FORMATS)


def test_media_types_and_what_is_written() -> None:
    assert PictureFormat.JPEG.media_type == "image/jpeg"
    assert [f for f in PictureFormat if not f.is_written] == ["bmp", "gif", "heic", "raw"]


@pytest.mark.parametrize(("name", "side"), [("webp", 16_383), ("jpeg", 65_500)])
def test_a_format_too_small_for_the_picture_is_refused_early(name: str, side: int) -> None:
    check_writable(PictureFormat(name), 100, side)
    with pytest.raises(InvalidParameter, match=rf"100x{side + 1}.*{side}"):
        check_writable(PictureFormat(name), 100, side + 1)
    check_writable(PictureFormat.PNG, 100, side + 1)


def test_pictures_are_known_by_their_suffix() -> None:
    names = ("a.jpg", "A.TIFF", "b.heif", "b.txt", "c", ".d.png")
    assert [is_picture(Path(name)) for name in names] == [True] * 3 + [False] * 3
