"""Pictures count in memory for what they need, and wait for each other by it."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import numpy as np
import pytest
import tifffile

from service.admission import Budget
from service.enhancement import EnhanceOptions
from service.errors import UnsupportedShape
from service.limits import MAX_PIXELS
from service.pictures import Header, PictureFormat, inspect, plain_pixels
from service.runtime import Runtime
from service.settings import Settings
from tests.pictures import dark_scene, encoded
from tests.repositories import make_repository
from tests.service.pictures.files import alpha_pixels, color_pixels, pillow_file, strips, tiff_file

JPEG, PNG, AVIF, RAW = PictureFormat.JPEG, PictureFormat.PNG, PictureFormat.AVIF, PictureFormat.RAW


@pytest.mark.parametrize(
    ("header", "target", "share"),
    [
        (Header(JPEG, 4000, 3000), JPEG, 1),
        (Header(JPEG, 4000, 3000, colour="cmyk"), JPEG, 14 / 8),
        (Header(JPEG, 4000, 3000), AVIF, 36 / 8),
        (Header(PNG, 4000, 3000, bits=16), PNG, 23 / 8),
        (Header(PNG, 4000, 3000, bits=16), JPEG, 17 / 8),
        (Header(PNG, 4000, 3000, bits=16, has_alpha=True), PNG, 29 / 8),
        (Header(PNG, 4000, 3000, bits=16, has_alpha=True), JPEG, 28 / 8),
        (Header(PNG, 4000, 3000, has_alpha=True), JPEG, 19 / 8),
        (Header(PictureFormat.GIF, 4000, 3000), PNG, 14 / 8),
        (Header(RAW, 4000, 3000, bits=16), JPEG, 25 / 8),
        (Header(PictureFormat.WEBP, 4000, 3000, is_animated=True), JPEG, 25 / 8),
        (Header(PictureFormat.TIFF, 4000, 3000, decoded_bytes=30), JPEG, 30 / 8),
        (Header(AVIF, 4000, 3000, has_alpha=True), JPEG, 26 / 8),
        (Header(PictureFormat.HEIC, 4000, 3000, has_alpha=True), JPEG, 21 / 8),
    ],
)
def test_formats_that_need_more_count_for_more(header: Header, target: PictureFormat, share: float) -> None:
    assert plain_pixels(header, target) == int(header.pixels * share)


DEEP, FIVE = color_pixels(16), np.dstack([color_pixels(16), alpha_pixels(16), alpha_pixels(16)])


@pytest.mark.parametrize(
    ("file", "bytes_a_pixel"),
    [
        (tiff_file(DEEP, photometric="rgb"), 17),
        (tiff_file(np.moveaxis(DEEP, -1, 0).copy(), photometric="rgb", planarconfig="separate"), 24),
        (tiff_file(FIVE, photometric="rgb", extrasamples=["assocalpha", "unspecified"]), 40),
        (tiff_file(FIVE[..., :4].copy(), photometric="separated"), 32),
        (strips([pillow_file(color_pixels(), "JPEG2000")], 34712, color_pixels(), 48), 26),
        (pillow_file(color_pixels(), "TIFF"), 14),
    ],
    ids=["usual", "planes", "samples", "inks", "jpeg 2000", "eight bits"],
)
def test_tiffs_count_for_what_their_layout_needs(file: bytes, bytes_a_pixel: int) -> None:
    header = inspect(file)
    assert plain_pixels(header, JPEG) == header.pixels * bytes_a_pixel // 8


def test_pictures_without_their_noise_count_for_one_more_of_them() -> None:
    assert plain_pixels(Header(JPEG, 4000, 3000), JPEG, restored=True) == 12_000_000 * 11 // 8
    deep = Header(PNG, 4000, 3000, bits=16)
    assert plain_pixels(deep, PNG, restored=True) == 12_000_000 * 29 // 8


def test_pictures_whose_every_pixel_the_network_sees_count_for_more() -> None:
    assert plain_pixels(Header(JPEG, 4000, 3000), JPEG, full_size=True) == 12_000_000 * 20 // 8
    assert plain_pixels(Header(JPEG, 4000, 3000), AVIF, full_size=True) == 12_000_000 * 39 // 8
    assert plain_pixels(Header(PNG, 4000, 3000, bits=16), PNG, full_size=True) == 12_000_000 * 130 // 8


@pytest.mark.parametrize(("room", "is_taken"), [(6144 * 130 // 8, True), (6144 * 130 // 8 - 100, False)])
def test_tiles_that_take_more_memory_than_all_pictures_may_are_refused(
    tmp_path: Path, room: int, is_taken: bool
) -> None:
    file = io.BytesIO()
    tifffile.imwrite(file, dark_scene(size=(64, 96)).astype(np.uint16) * 257, photometric="rgb")
    settings = Settings(
        model_repository=make_repository(tmp_path, max_pixels=1024, working_side=32),
        default_model="brighten",
        max_whole_pixels=4096,
        max_pixels_in_flight=room,
    )

    async def run(detail: str) -> str:
        async with Runtime(settings) as runtime:
            await runtime.loaded()
            return (await runtime.enhance(file.getvalue(), EnhanceOptions(detail=detail))).detail

    assert asyncio.run(run("auto")) == "guided"
    if is_taken:
        assert asyncio.run(run("tiles")) == "tiles-affine"
    else:
        with pytest.raises(
            UnsupportedShape, match="may have 6137 pixels, and this one has 6144; ask for detail=auto"
        ):
            asyncio.run(run("tiles"))


def test_the_default_budget_holds_the_largest_raw_file() -> None:
    in_flight = Settings.model_fields["max_pixels_in_flight"].default
    assert plain_pixels(Header(RAW, 9248, 6936, bits=16), JPEG) <= in_flight
    assert MAX_PIXELS >= 9248 * 6936


def test_a_picture_waits_until_what_it_needs_is_free(tmp_path: Path) -> None:
    file = encoded(dark_scene(size=(64, 96)))
    needed = plain_pixels(Header(PNG, 96, 64), AVIF, full_size=True)
    settings = Settings(
        model_repository=make_repository(tmp_path), default_model="brighten", max_pixels_in_flight=needed + 1000
    )

    async def run() -> None:
        async with Runtime(settings) as runtime:
            await runtime.loaded()
            budget: Budget = runtime.pipeline._budget
            async with budget.hold(1001):
                waiting = asyncio.create_task(runtime.enhance(file, EnhanceOptions(format="avif")))
                await asyncio.sleep(0.5)
                assert not waiting.done()
            assert (await waiting).format is AVIF

    asyncio.run(run())
