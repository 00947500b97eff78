"""Keeps a training's memory between steps, instead of returning it to the system and requesting it again."""

from __future__ import annotations

import ctypes
import mmap
import os
import platform

HUGE_PAGE = 2 << 20
"""Bytes of a huge page on x86-64 and on arm64 with 4 KiB pages."""

PIECE = 1 << 30
"""Bytes that are reserved at a time."""

SHARE = 0.5
"""Share of the machine's memory whose addresses are reserved. Only used pages take real memory."""

# Names in malloc.h of the GNU C library.
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8


def keep_freed_memory() -> bool:
    """Let the C library keep freed blocks, in huge pages, for the rest of the process. CPU trainings only.

    By default each tensor of over 32 MB is mapped, cleared page by page and unmapped again in every step. On two
    cores GELU of [4, 64, 168, 256] took 21 ms that way and takes 3 ms with memory that is already mapped.

    Returns:
        Whether it was done: on Linux with the GNU C library. Elsewhere nothing changes.
    """
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    settings = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: 2**31 - 1, M_ARENA_MAX: 1}
    if not all(libc.mallopt(name, value) for name, value in settings.items()):
        return False
    # Freeing blocks at the end of the heap leaves it grown, with its pages advised.
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    pieces = [libc.malloc(PIECE) for _ in range(int(SHARE * memory) // PIECE)]
    for piece in filter(None, pieces):
        start = -(-piece // HUGE_PAGE) * HUGE_PAGE
        libc.madvise(start, piece + PIECE - start, mmap.MADV_HUGEPAGE)
    for piece in pieces:
        libc.free(piece)
    return True
