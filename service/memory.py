"""Memory for the pixels of large pictures, used again and again.

A photo of 12 megapixels takes 36 MB twice. Memory fresh from the system has to be mapped, cleared and, on a virtual
machine, fetched from the host, for every photo again; what an allocator keeps is at most 32 MB a piece.
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
"""Blocks from this many bytes on are offered to the system while they wait; for smaller ones the call costs more."""

KEPT = 512 << 20
"""Most bytes that are kept for the next picture. The system may take them back where it is short of memory."""


class Pool:
    """Blocks of memory that wait for the next array.

    No lock: taking a block out of the list is atomic, and an array may end anywhere, in the middle of `empty` too.
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
        """As `numpy.empty`; the memory comes back when the array and all views of it are gone."""
        kind = np.dtype(dtype)
        size = math.prod(shape) * kind.itemsize
        if size < SMALLEST:
            return np.empty(shape, kind)
        self._last_use = time.monotonic()
        block = self._take(size) or self._map(size)
        memory = np.frombuffer(block, np.uint8)  # of which every view keeps hold, since it does not own its bytes
        weakref.finalize(memory, self._give_back, block).atexit = False
        return memory[:size].view(kind).reshape(shape)

    def release(self, seconds: float) -> None:
        """Give the system back what waits, unless some of it was used within the last `seconds`."""
        if time.monotonic() - self._last_use >= seconds:
            self._idle.clear()

    def _take(self, size: int) -> mmap.mmap | None:
        """The smallest idle block that is large enough; one more than twice that is left to larger pictures."""
        for block in sorted(self._idle, key=len):
            if size <= len(block) <= 2 * size and self._remove(block):
                return block
        return None

    def _map(self, size: int) -> mmap.mmap:
        """A new block, in place of as many bytes of smaller ones: what is kept must not grow with every size."""
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
        """Take a block out; False if another thread was quicker."""
        try:
            self._idle.remove(block)
        except ValueError:
            return False
        return True


def _advise(block: mmap.mmap, name: str) -> None:
    """Tell the system what a block is for, where it has a word for that."""
    if (advice := getattr(mmap, name, None)) is not None:
        with suppress(OSError):  # a kernel without it: the block serves all the same
            block.madvise(advice)


_pool = Pool()
empty = _pool.empty


class Releaser:
    """Gives memory back to the system that was needed once and is not any more.

    Small allocations that outlive large ones keep a C library's heap as large as it was at its peak.

    Args:
        idle_seconds: how long no large picture must have come before memory kept for the next one is given back.
        step: bytes of the heap that must be free; by half as many that must have changed since memory was given back,
            which counts as free, too.
    """

    def __init__(self, idle_seconds: float = 30.0, step: int = 32 << 20) -> None:
        self._idle_seconds = idle_seconds
        self._step = step
        self._seen = 0

    def __call__(self) -> None:
        """Look, and give back what can be; takes up to some tens of milliseconds, so call it in a thread."""
        _pool.release(self._idle_seconds)
        free = _free_bytes()
        if free > self._step and abs(free - self._seen) > self._step // 2:
            _libc.malloc_trim(0)
            self._seen = _free_bytes()


class _Heap(ctypes.Structure):
    """What glibc's mallinfo2 tells of its heaps; `free` are bytes in them that are not in use."""

    _fields_ = [(name, ctypes.c_size_t) for name in (*"abcdefgh", "free", "top")]


_libc = ctypes.CDLL(None)
_heap = getattr(_libc, "mallinfo2", None)  # glibc alone has it, and malloc_trim
if _heap is not None:
    _heap.restype = _Heap


def _free_bytes() -> int:
    return 0 if _heap is None else int(_heap().free)


def resident_bytes() -> int:
    """Memory of this process that is in use; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE
    except OSError:
        return 0
