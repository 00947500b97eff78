"""Pictures that cost more than they look like, of every format: a thread has done with each in bounded time."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest

from service.errors import UnreadablePicture, UnsupportedFormat, UnsupportedShape
from service.pictures import decode, inspect
from tests.reliability import bombs

SECONDS_A_MEGAPIXEL = 0.06
"""Of CPU time, which is the same whatever else runs: what an honest picture takes at most, with some to spare."""


@pytest.mark.parametrize("kind", bombs.KINDS)
def test_a_bomb_costs_no_more_than_an_honest_picture_of_its_size(kind: str) -> None:
    file = bombs.made(kind)
    megapixels = 1.0
    started = time.thread_time()
    with suppress(UnreadablePicture, UnsupportedFormat, UnsupportedShape):
        header = inspect(file)
        megapixels = max(1.0, header.megapixels)
        decode(file)
    seconds = time.thread_time() - started
    assert seconds < SECONDS_A_MEGAPIXEL * max(4.0, megapixels), f"{seconds:.1f} s for {megapixels:.0f} megapixels"
