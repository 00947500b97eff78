"""Strips of rows over the machine's cores."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import numpy as np

from service.settings import available_cores

PIXELS_PER_STRIP = 256 * 1024
"""A strip with less pixels costs more to hand over than to compute."""

STRIPS_PER_CORE = 4
"""More strips than cores, so that a core that is busy elsewhere does not keep the others waiting."""


def in_strips(work: Callable[[int, int], None], rows: int, pixels: int) -> None:
    """Call `work(first, last)` on strips that cover `rows` rows, side by side; return when all are done.

    Args:
        work: releases the GIL, and writes only what belongs to its rows.
        rows: number of rows to cover.
        pixels: what all the rows cost together, in pixels; small pictures stay in the calling thread.
    """
    cores = available_cores()
    strips = min(rows, pixels // PIXELS_PER_STRIP, STRIPS_PER_CORE * cores)
    if strips <= 1 or cores == 1:
        work(0, rows)
        return
    edges = np.linspace(0, rows, strips + 1).astype(int).tolist()
    for done in [_threads().submit(work, *edge) for edge in pairwise(edges)]:
        done.result()


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(available_cores(), thread_name_prefix="rendering")
