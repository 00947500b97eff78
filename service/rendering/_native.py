"""The kernels: loops over pixels in C, in `native/`, compiled when the package was built (`setup.py`).

The library has every kernel for several instruction sets. The best one that this processor supports is used; `ctypes`
calls it without the GIL.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

LIBRARY = Path(__file__).with_name("libkernels.so")

Kernel: TypeAlias = Callable[..., None]


def _array(*dtypes: type[np.generic]) -> type:
    """A parameter that takes C-contiguous arrays of one of these types, read-only ones too, by their address."""
    allowed = tuple(np.dtype(dtype) for dtype in dtypes)

    class Array(ctypes.c_void_p):
        @classmethod
        def from_param(cls, value: Any) -> Any:
            if not (isinstance(value, np.ndarray) and value.dtype in allowed and value.flags.c_contiguous):
                raise TypeError(f"a kernel takes C-contiguous arrays of {' or '.join(map(str, allowed))} here")
            return ctypes.c_void_p(value.__array_interface__["data"][0])

    return Array


CODES = _array(np.uint8, np.uint16)
FLOATS = _array(np.float32)
DOUBLES = _array(np.float64)
INTS = _array(np.int32)


def _optional(parameter: Any) -> type:
    """The same, and None."""

    class Optional(ctypes.c_void_p):
        @classmethod
        def from_param(cls, value: Any) -> Any:
            return None if value is None else parameter.from_param(value)

    return Optional


FLAG, COUNT, NUMBER, NEXT = ctypes.c_int32, ctypes.c_int64, ctypes.c_float, ctypes.POINTER(ctypes.c_int64)
EXPOSURE_AND_SHADOWS = (NUMBER, FLOATS, COUNT, FLOATS, COUNT, COUNT, NUMBER, NUMBER)
GRADE = (NUMBER, NUMBER, NUMBER, FLOATS, COUNT, *EXPOSURE_AND_SHADOWS)

PARAMETERS: dict[str, tuple[Any, ...]] = {
    "add_light": (FLOATS, FLOATS, COUNT, NUMBER, NUMBER, DOUBLES),
    "apply_map": (CODES, FLAG, *[COUNT] * 2, FLOATS, *[COUNT] * 3, FLOATS, *[COUNT] * 2, *GRADE, COUNT, CODES, NEXT),
    "blend": (CODES, CODES, FLAG, *[COUNT] * 2, *GRADE, COUNT, CODES, NEXT),
    "deal": (FLOATS, COUNT, COUNT, INTS, COUNT, FLOATS, FLOATS),
    "evidence": (CODES, FLAG, *[COUNT] * 4, INTS, INTS, NUMBER, FLOATS, FLOATS, NEXT),
    "fit": (FLOATS, FLOATS, COUNT, COUNT, FLOATS, FLOATS, NEXT),
    "light_base": (FLOATS, COUNT, COUNT, FLOATS, COUNT, COUNT, NUMBER, FLOATS, NEXT),
    "limit": (FLOATS, FLOATS, FLOATS, COUNT, COUNT, FLOATS, NEXT),
    "measure_noise": (CODES, FLAG, *[COUNT] * 6, NUMBER, NUMBER, FLOATS, NEXT),
    "shrink": (
        CODES,
        _optional(CODES),
        FLAG,
        *[COUNT] * 4,
        DOUBLES,
        INTS,
        INTS,
        *[FLOATS] * 2,
        NUMBER,
        *[FLOATS] * 2,
        NEXT,
    ),
    "smooth": (FLOATS, FLOATS, FLOATS, COUNT, COUNT, FLOATS, FLOATS, NEXT),
    "suit": (FLOATS, COUNT, _optional(FLOATS), NUMBER, FLOATS, FLOATS, NEXT),
}
"""Kernel -> its parameters, in the order of the source."""


def levels() -> list[int]:
    """The levels that this processor can run, the best one last.

    Raises:
        ImportError: the library is not there, or has nothing for this processor.
    """
    best = _library().best_level()
    if best == 0:
        raise ImportError("rendering needs a processor with SSE4.2 and POPCNT (x86-64-v2)")
    return [level for level in range(1, best + 1) if hasattr(_library(), f"shrink_v{level}")]


@cache
def kernel(name: str, level: int) -> Kernel:
    """The kernel of this name.

    Raises (when it is called):
        ctypes.ArgumentError: an argument is of another type or layout than `PARAMETERS` says.
    """
    function = getattr(_library(), f"{name}_v{level}")
    function.argtypes, function.restype = PARAMETERS[name], None
    return function


@cache
def _library() -> ctypes.CDLL:
    if not LIBRARY.exists():
        raise ImportError(f"{LIBRARY} is missing; it is built by `pip install -e .` in the root of the repository")
    return ctypes.CDLL(str(LIBRARY))


LEVEL = levels()[-1]
"""The level in use."""
