"""Anonymous memory shared by two processes: nothing is left behind when both are killed.

Named POSIX segments would be in /dev/shm, which containers limit to 64 MiB, and would outlive a process that crashes.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref

import numpy as np
from numpy.typing import DTypeLike, NDArray

ALIGNMENT = 64  # bytes: a cache line


def align(size: int) -> int:
    """The next multiple of a cache line, in bytes."""
    return -(-size // ALIGNMENT) * ALIGNMENT


class Slot:
    """A block of shared memory for one batch, inputs first, then outputs.

    Args:
        descriptor: an open file of the memory, from `Slot.create` in the process that owns it, or received from it.
            It is closed together with the slot.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.size = 0
        self._memory: mmap.mmap | None = None
        self.close = weakref.finalize(self, os.close, descriptor)

    @classmethod
    def create(cls) -> Slot:
        """A new, empty slot."""
        if hasattr(os, "memfd_create"):
            return cls(os.memfd_create("nightlift-slot"))
        with tempfile.TemporaryFile() as file:
            return cls(os.dup(file.fileno()))

    def resize(self, size: int) -> None:
        """Resize the memory to `size` bytes; its contents are lost."""
        self._memory = None
        self.size = 0
        os.ftruncate(self.descriptor, size)

    def view(self, shape: tuple[int, ...], dtype: DTypeLike, offset: int = 0) -> NDArray[np.generic]:
        """The array at `offset` bytes, without a copy; the memory must be large enough for it."""
        kind = np.dtype(dtype)
        count = int(np.prod(shape))
        end = offset + count * kind.itemsize
        if self._memory is None or end > self.size:
            self.size = os.fstat(self.descriptor).st_size
            self._memory = mmap.mmap(self.descriptor, self.size)
        return np.frombuffer(self._memory, kind, count, offset).reshape(shape)
