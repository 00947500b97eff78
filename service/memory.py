"""Memory for the pixels of large pictures, used again and again.

A photo of 12 megapixels takes 36 MB twice. Memory fresh from the system has to be mapped, cleared and, on a virtual
machine, fetched from the host, for every photo anew; what an allocator keeps is at most 32 MB a piece.
"""

from __future__ import annotations

import math
import mmap
import weakref
from contextlib import suppress

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
        block = self._take(size) or self._map(size)
        memory = np.frombuffer(block, np.uint8)  # of which every view keeps hold, since it does not own its bytes
        weakref.finalize(memory, self._give_back, block).atexit = False
        return memory[:size].view(kind).reshape(shape)

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
