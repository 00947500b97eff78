"""The pool of pixels' memory: nothing is lent twice, and what is kept is bounded."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from service.memory import Pool, Releaser, resident_bytes

LARGE = (1000, 1000, 3)
BLOCK = 2 << 20


def address(array: np.ndarray) -> int:
    """Where an array's first byte lies."""
    return int(array.__array_interface__["data"][0])


def test_memory_is_used_again_when_no_view_is_left() -> None:
    pool = Pool()
    first = pool.empty(LARGE, np.uint8)
    place, view = address(first), first[::2, ::3].T
    del first
    assert pool.idle == 0
    other = pool.empty(LARGE, np.uint8)
    assert address(other) != place
    del view
    assert address(pool.empty((1000, 1300), np.uint16)) == place


def test_arrays_are_as_numpys() -> None:
    pool = Pool()
    for shape, dtype in ((LARGE, np.uint8), ((2, 700, 900), np.float32), ((3, 3), np.uint16), ((0, 5), np.uint8)):
        array = pool.empty(shape, dtype)
        assert (array.shape, array.dtype) == (shape, dtype)
        assert array.flags.c_contiguous
        assert array.flags.writeable
        array[:] = 7
        assert (array == 7).all()


def test_a_small_array_leaves_a_large_block_alone() -> None:
    pool = Pool()
    large = pool.empty((32 << 20,), np.uint8)
    place = address(large)
    del large
    small = pool.empty((2 << 20,), np.uint8)
    assert address(small) != place


def test_what_is_kept_is_bounded() -> None:
    pool = Pool(kept=4 * BLOCK)
    arrays = [pool.empty((BLOCK,), np.uint8) for _ in range(9)]
    assert pool.idle == 0
    arrays.clear()
    assert pool.idle == 4 * BLOCK


def test_a_new_block_takes_the_place_of_idle_ones() -> None:
    pool = Pool()
    arrays = [pool.empty((BLOCK,), np.uint8) for _ in range(6)]
    arrays.clear()
    large = pool.empty((4 * BLOCK,), np.uint8)
    assert pool.idle == 2 * BLOCK
    del large
    assert pool.idle == 6 * BLOCK


def test_threads_never_share_memory() -> None:
    pool = Pool(kept=4 * BLOCK)

    def work(number: int) -> bool:
        for _ in range(50):
            array = pool.empty((BLOCK // 2 + 4096 * number,), np.uint8)
            array[::4096] = number
            if (array[::4096] != number).any():
                return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, range(8)))


def test_what_was_not_used_for_a_while_is_given_back() -> None:
    pool = Pool()
    pool.empty(LARGE, np.uint8)
    assert pool.idle > 0
    pool.release(60)
    assert pool.idle > 0
    pool.release(0)
    assert pool.idle == 0


def test_a_heap_that_was_large_once_shrinks() -> None:
    """Small pieces that stay keep it from shrinking by itself."""
    release = Releaser(idle_seconds=0, step=8 << 20)
    release()
    before = resident_bytes()
    pieces = [bytearray(60_000) for _ in range(4000)]
    release()  # at the peak
    kept = pieces[::400]
    del pieces
    release()
    assert resident_bytes() < before + (32 << 20)
    assert len(kept) == 10
