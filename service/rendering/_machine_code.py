"""How a kernel becomes machine code, and how it is called.

Numba compiles a kernel at its first call and keeps the code on disk, beside the source or in `NUMBA_CACHE_DIR`. Where
a library made ahead of time lies beside this file (`_ahead`), it has the code, and neither numba nor LLVM need be
installed: 210 MB less in a container, and nothing to compile when it starts. Both are the same code, called the same
way: by its address, with the GIL released, and with numba's layout of arguments, in which an array is owner, parent,
number of items, bytes of one, address, shape and strides.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

LIBRARY = Path(__file__).with_name("libkernels.so")
"""Where a library made ahead of time lies."""

OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "_nrt": False,
    "fastmath": {"contract", "reassoc", "nsz", "arcp"},
}
"""Of numba: nothing is raised or allocated, and strict IEEE order is given up, but neither NaN nor infinity."""

Argument: TypeAlias = NDArray[Any] | np.float32 | int
Entry: TypeAlias = Callable[..., int]


class Kernel:
    """A function without a result in machine code, compiled for each combination of types that it is called with.

    Attributes:
        function: the source. It allocates nothing and raises nothing.
        variants: what was called so far, by `variant`.
    """

    def __init__(self, function: Callable[..., None]) -> None:
        self.function = function
        self.variants: dict[str, Entry] = {}
        self._compiled: list[Any] = []  # numba's functions, which own the code

    def __call__(self, *arguments: Argument) -> None:
        """Arrays are C-contiguous and may be read-only; whole numbers are int, others float32."""
        variant = ".".join(map(_kind, arguments))
        if (entry := self.variants.get(variant)) is None:
            entry = self.variants[variant] = self._find(variant)
        result, error = ctypes.c_void_p(), ctypes.c_void_p()
        entry(ctypes.byref(result), ctypes.byref(error), *chain.from_iterable(map(_words, arguments)))

    def _find(self, variant: str) -> Entry:
        library = _library()
        if library is not None:
            return library[symbol(self.function, variant)]
        self._compiled.append(_jitted(self.function, signature(variant)))
        (compiled,) = self._compiled[-1].overloads.values()
        address = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)
        return ctypes.CFUNCTYPE(ctypes.c_int)(address)


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """A part of kernels, which compiled code alone may call."""
    if LIBRARY.exists():
        return function
    return _jitted(function)


def symbol(function: Callable[..., None], variant: str) -> str:
    """The name in the library of a function compiled for a combination of types."""
    return f"{function.__name__}.{variant}"


def signature(variant: str) -> Any:
    """Numba's types for `variant`."""
    from numba import types
    from numba.np.numpy_support import from_dtype

    def of(kind: str) -> Any:
        code, _, dimensions = kind.partition("x")
        value = from_dtype(np.dtype(code))
        return types.Array(value, int(dimensions), "C") if dimensions else value

    return types.void(*map(of, variant.split(".")))


def _jitted(function: Callable[..., Any], *signatures: Any) -> Any:
    import numba

    options: dict[str, Any] = {**OPTIONS, "cache": True}
    try:
        return numba.njit(*signatures, **options)(function)
    except (RuntimeError, OSError):  # no folder that may be written to, or a full disk: compile in each process
        return numba.njit(*signatures, **OPTIONS)(function)


@cache
def _library() -> ctypes.CDLL | None:
    return ctypes.CDLL(str(LIBRARY)) if LIBRARY.exists() else None


def _kind(value: Argument) -> str:
    """The type of an argument: NumPy's code, and "x" and the number of dimensions for an array."""
    if isinstance(value, np.ndarray):
        assert value.flags.c_contiguous, "a kernel takes C-contiguous arrays"
        return f"{value.dtype.str[1:]}x{value.ndim}"
    return "i8" if isinstance(value, int) else value.dtype.str[1:]


def _words(value: Argument) -> Iterator[Any]:
    """An argument in machine words."""
    if isinstance(value, np.ndarray):
        numbers = (value.size, value.itemsize, value.ctypes.data, *value.shape, *value.strides)
        return chain((None, None), map(ctypes.c_ssize_t, numbers))
    return iter((ctypes.c_ssize_t(value) if isinstance(value, int) else ctypes.c_float(float(value)),))
