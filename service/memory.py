"""Reuses memory for the pixels of large pictures.

A photo of 12 megapixels takes 36 MB twice. Fresh memory has to be mapped, cleared and, on a virtual machine, fetched
from the host, again for every photo; an allocator keeps only blocks of up to 32 MB.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import time
import weakref
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray

SMALLEST = 1 << 18
"""Arrays of fewer bytes are left to NumPy."""

GRAIN = 1 << 16
"""Blocks are multiples of this, in bytes, so that pictures of nearly one size share them."""

RETURNED = 4 << 20
"""Idle blocks of at least this many bytes are offered to the system; for smaller ones the call costs more."""

KEPT = 512 << 20
"""Most bytes that are kept for the next picture. The system may reclaim them when memory is short."""


class Pool:
    """Idle blocks of memory for the next arrays.

    Without a lock: removing a block from the list is atomic, and an array may be freed anywhere, even during `empty`.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._idle: list[mmap.mmap] = []
        self._last_use = time.monotonic()

    @property
    def idle(self) -> int:
        """Bytes that wait."""
        return sum(map(len, self._idle))

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray:
        """Like `numpy.empty`; the memory returns to the pool when the array and all its views are gone."""
        kind = np.dtype(dtype)
        size = math.prod(shape) * kind.itemsize
        if size < SMALLEST:
            return np.empty(shape, kind)
        self._last_use = time.monotonic()
        block = self._take(size) or self._map(size)
        memory = np.frombuffer(block, np.uint8)  # every view references this array, since it does not own its bytes
        weakref.finalize(memory, self._give_back, block).atexit = False
        return memory[:size].view(kind).reshape(shape)

    def release(self, seconds: float) -> None:
        """Return idle blocks to the system, unless some were used within the last `seconds`."""
        if time.monotonic() - self._last_use >= seconds:
            self._idle.clear()

    def _take(self, size: int) -> mmap.mmap | None:
        """The smallest idle block that is large enough; one more than twice that is left to larger pictures."""
        for block in sorted(self._idle, key=len):
            if size <= len(block) <= 2 * size and self._remove(block):
                return block
        return None

    def _map(self, size: int) -> mmap.mmap:
        """A new block, which replaces as many bytes of smaller ones: the pool must not grow with every size."""
        missing = size
        for block in sorted(self._idle, key=len):
            if len(block) < size and missing > 0 and self._remove(block):
                missing -= len(block)
        block = mmap.mmap(-1, -(-size // GRAIN) * GRAIN, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        _advise(block, "MADV_HUGEPAGE")
        return block

    def _give_back(self, block: mmap.mmap) -> None:
        if self.idle + len(block) <= self._kept:
            if len(block) >= RETURNED:
                _advise(block, "MADV_FREE")
            self._idle.append(block)

    def _remove(self, block: mmap.mmap) -> bool:
        """Remove a block; False if another thread was faster."""
        try:
            self._idle.remove(block)
        except ValueError:
            return False
        return True


def _advise(block: mmap.mmap, name: str) -> None:
    """Advise the system how a block is used, where it supports that."""
    if (advice := getattr(mmap, name, None)) is not None:
        with suppress(OSError):  # a kernel without it: the block still works
            block.madvise(advice)


_pool = Pool()
empty = _pool.empty


class Releaser:
    """Returns memory to the system that is no longer needed.

    Small allocations that outlive large ones keep a C library's heap at its peak size.

    Args:
        idle_seconds: seconds without a large picture after which memory kept for the next one is returned.
        step: bytes of the heap that must be free before they are returned; and half as many must have changed since
            the last time, because returned memory counts as free, too.
    """

    def __init__(self, idle_seconds: float = 30.0, step: int = 32 << 20) -> None:
        self._idle_seconds = idle_seconds
        self._step = step
        self._seen = 0

    def __call__(self) -> None:
        """Return what can be returned; may take tens of milliseconds, so call it in a thread."""
        _pool.release(self._idle_seconds)
        free = _free_bytes()
        if free > self._step and abs(free - self._seen) > self._step // 2:
            _libc.malloc_trim(0)
            self._seen = _free_bytes()


class _Heap(ctypes.Structure):
    """The result of glibc's mallinfo2; `free` are unused bytes in its heaps."""

    _fields_ = [(name, ctypes.c_size_t) for name in (*"abcdefgh", "free", "top")]


_libc = ctypes.CDLL(None)
_heap = getattr(_libc, "mallinfo2", None)  # glibc alone has it, and malloc_trim
if _heap is not None:
    _heap.restype = _Heap


def _free_bytes() -> int:
    return 0 if _heap is None else int(_heap().free)


def resident_bytes() -> int:
    """Resident memory of this process in bytes; 0 if the system does not report it."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE
    except OSError:
        return 0
