"""Picture sizes as people write them."""

from __future__ import annotations

import re


def parse_size(text: str) -> tuple[int, int]:
    """(width, height) of `WIDTHxHEIGHT`, in pixels.

    Raises:
        ValueError: if the text is nothing of the kind.
    """
    match = re.fullmatch(r"([1-9]\d{1,4})x([1-9]\d{1,4})", text)
    if match is None:
        raise ValueError(f"size {text!r} is not WIDTHxHEIGHT, such as 4000x3000")
    return int(match[1]), int(match[2])
