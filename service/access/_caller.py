"""The caller that the running task works for, as far as its pixels are limited."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Charge = Callable[[int], None]

_charge: ContextVar[Charge | None] = ContextVar("charge", default=None)


@contextmanager
def charging(charge: Charge | None) -> Iterator[None]:
    """Have the pixels that the block works on charged to a caller."""
    token = _charge.set(charge)
    try:
        yield
    finally:
        _charge.reset(token)


def charge_pixels(pixels: int) -> None:
    """Say that so many pixels are about to be worked on; costs one look-up where nobody limits them."""
    if (charge := _charge.get()) is not None:
        charge(pixels)
