"""Kernels on the machine's cores."""

from __future__ import annotations

import ctypes
from functools import partial
from typing import Any

from service.cores import run_on_cores
from service.rendering import _native

PIXELS_PER_THREAD = 128 * 1024
"""Pixels below which a thread costs more to wake than it saves."""


def run(name: str, *arguments: Any, pixels: int, first: int = 0) -> None:
    """Run a kernel to its end, in this thread and in others that take strips of rows as they come.

    Args:
        name: the kernel.
        arguments: all but its last, which says what row comes next.
        pixels: what all of it costs, in pixels; small pictures stay in this thread.
        first: the row to begin with.
    """
    next_row = ctypes.byref(ctypes.c_int64(first))
    run_on_cores(partial(_native.kernel(name, _native.LEVEL), *arguments, next_row), pixels // PIXELS_PER_THREAD)
