"""Work that several threads share, on the machine's cores."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from service.settings import available_cores


def run_on_cores(work: Callable[[], object], most: int) -> None:
    """Call `work` in this thread and in up to `most` - 1 others at once; return when all have returned.

    Args:
        work: takes pieces of work one by one without holding the GIL, and returns when none is left. Threads that are
            busy elsewhere may join too late to find any, or not at all.
        most: number of threads worth using.
    """
    if most <= 1 or (cores := _cores()) == 1:
        work()
        return
    helping = [_threads().submit(work) for _ in range(min(cores, most) - 1)]
    try:
        work()
    finally:
        for helper in helping:
            if not helper.cancel():
                helper.result()


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_cores(), thread_name_prefix="rendering")


@cache
def _cores() -> int:
    return available_cores()  # cached, since it reads files
