"""Files that are there completely or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A file beside `target` to write into, which takes its place if the block ends well; folders are made.

    It has the same name at every try, hidden and with the same suffix, so that what a killed process left is
    written over by the next one.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.stem}.part{target.suffix}")
    try:
        yield part
        os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_whole(target: Path, data: bytes) -> None:
    """Write a file in one step, as others see it."""
    with replacing(target) as part:
        part.write_bytes(data)
