"""Kernels on the machine's cores."""

from __future__ import annotations

import ctypes
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from service.rendering import _native
from service.settings import available_cores

PIXELS_PER_THREAD = 128 * 1024
"""For less a thread costs more to wake than it computes."""


def run(name: str, *arguments: Any, pixels: int) -> None:
    """Run a kernel to its end, in this thread and in others that take strips of rows as they come.

    Args:
        name: the kernel.
        arguments: all but its last, which says what row comes next.
        pixels: what all of it costs, in pixels; small pictures stay in this thread.
    """
    kernel = _native.kernel(name, _native.LEVEL)
    next_row = ctypes.byref(ctypes.c_int64(0))
    helpers = min(available_cores(), pixels // PIXELS_PER_THREAD) - 1
    helping = [_threads().submit(kernel, *arguments, next_row) for _ in range(helpers)]
    kernel(*arguments, next_row)
    for helper in helping:
        if not helper.cancel():  # one that has not begun would find nothing to do
            helper.result()


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(available_cores(), thread_name_prefix="rendering")
