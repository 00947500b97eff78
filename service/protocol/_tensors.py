"""Tensors on the wire: the protocol's datatypes, and conversion between arrays and row-major little-endian bytes.

Elements of BYTES carry their own length: four bytes, little-endian, before each (`binary_tensor_data` extension).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import MalformedRequest
from service.repository import NUMBERS

BYTES = "BYTES"
DATATYPES: dict[str, np.dtype[Any]] = {**NUMBERS, BYTES: np.dtype(object)}
"""The protocol's name of a datatype -> that of its elements in memory; elements of BYTES are `bytes`."""

NAMES = {dtype: name for name, dtype in DATATYPES.items()}
MAX_RANK = 8
LENGTH = struct.Struct("<I")

MAX_ELEMENTS = 2**40
"""Most elements of a tensor; no message holds as many. Python does not even print the product of larger numbers."""

MAX_BYTES_ELEMENTS = 1024
"""Most elements of a tensor of BYTES, which are made one by one: more pictures than any model takes at once."""


@dataclass(frozen=True)
class Tensor:
    """A named array; of BYTES if its dtype is object, every element being `bytes`."""

    name: str
    array: NDArray[Any]

    @property
    def datatype(self) -> str:
        """The protocol's name of the elements' type."""
        return NAMES[self.array.dtype]

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of all axes."""
        return self.array.shape


def from_binary(name: str, datatype: str, shape: Sequence[int], buffer: bytes | memoryview) -> Tensor:
    """A tensor over `buffer`, which numbers are not copied from: the array is read-only.

    Raises:
        MalformedRequest: if the datatype is unknown, a dimension is not positive, the bytes do not fit the shape, or
            there are more elements than a tensor may have.
    """
    dtype = _dtype(name, datatype)
    if datatype == BYTES:
        return bytes_tensor(name, shape, _split(name, memoryview(buffer), _count_bytes(name, shape)))
    count = _count(name, shape)
    expected = count * dtype.itemsize
    if len(buffer) != expected:
        raise MalformedRequest(
            f"tensor {name!r}: {datatype} of shape {list(shape)} has {expected} bytes, but {len(buffer)} were sent"
        )
    return Tensor(name, np.frombuffer(buffer, dtype).reshape(tuple(shape)))


def from_numbers(name: str, datatype: str, shape: Sequence[int], values: Sequence[Any] | NDArray[Any]) -> Tensor:
    """A tensor of numbers, or of true and false, from a list of them, nested or flat, or from an array.

    Raises:
        MalformedRequest: as `from_binary`; also if a value is of another type than the datatype, or out of its range.
    """
    dtype = _dtype(name, datatype)
    count = _count(name, shape)
    try:
        array = values if isinstance(values, np.ndarray) else np.asarray(_flat(name, values))
    except (ValueError, OverflowError):  # numbers that no type of NumPy has
        raise MalformedRequest(f"tensor {name!r}: its data holds values that {datatype} cannot represent") from None
    if array.size != count:
        raise MalformedRequest(
            f"tensor {name!r}: shape {list(shape)} has {count} elements, but {array.size} were sent"
        )
    if not _holds(dtype, array):
        raise MalformedRequest(f"tensor {name!r}: its data holds values that {datatype} cannot represent")
    return Tensor(name, array.astype(dtype, copy=False).reshape(tuple(shape)))


def bytes_tensor(name: str, shape: Sequence[int], elements: Sequence[bytes]) -> Tensor:
    """A tensor of BYTES.

    Raises:
        MalformedRequest: if a dimension is not positive, the elements do not fit the shape, or there are more than
            such a tensor may have.
    """
    count = _count_bytes(name, shape)
    if len(elements) != count:
        raise MalformedRequest(
            f"tensor {name!r}: shape {list(shape)} has {count} elements, but {len(elements)} were sent"
        )
    array = np.empty(count, object)
    array[:] = elements
    return Tensor(name, array.reshape(tuple(shape)))


def to_binary(tensor: Tensor) -> bytes | memoryview:
    """The tensor's bytes on the wire; those of a contiguous array of numbers are not copied."""
    if tensor.datatype == BYTES:
        return b"".join(part for element in tensor.array.flat for part in (LENGTH.pack(len(element)), element))
    return np.ascontiguousarray(tensor.array).reshape(-1).view(np.uint8).data


def _dtype(name: str, datatype: str) -> np.dtype[Any]:
    if datatype not in DATATYPES:
        raise MalformedRequest(f"tensor {name!r}: datatype {datatype!r} is not one of {', '.join(DATATYPES)}")
    return DATATYPES[datatype]


def _flat(name: str, values: Sequence[Any]) -> list[Any]:
    """The numbers of a nested list, in order.

    Nothing else may reach NumPy: it would make room for the longest of the strings in every place, so that a megabyte
    of JSON could take any amount of memory.
    """
    level: list[Any] = [values]
    while set(map(type, level)) == {list} and len(set(map(len, level))) == 1:
        level = list(chain.from_iterable(level))
    if not set(map(type, level)) <= {bool, int, float}:
        raise MalformedRequest(
            f"tensor {name!r}: its data must be numbers, or true and false, in one list or in lists of equal length"
        )
    return level


def _count(name: str, shape: Sequence[int]) -> int:
    if not 1 <= len(shape) <= MAX_RANK or min(shape) < 1:
        raise MalformedRequest(
            f"tensor {name!r}: shape {_shown(shape)} must have 1 to {MAX_RANK} dimensions, all positive"
        )
    count = math.prod(shape)
    if count > MAX_ELEMENTS:
        raise MalformedRequest(
            f"tensor {name!r}: shape {_shown(shape)} has more than the {MAX_ELEMENTS} elements allowed"
        )
    return count


def _count_bytes(name: str, shape: Sequence[int]) -> int:
    count = _count(name, shape)
    if count > MAX_BYTES_ELEMENTS:
        raise MalformedRequest(
            f"tensor {name!r}: {BYTES} of shape {_shown(shape)} has {count} elements; at most "
            f"{MAX_BYTES_ELEMENTS} are allowed; each is an encoded picture"
        )
    return count


def _shown(shape: Sequence[int]) -> str:
    """The first dimensions of any shape, short."""
    sides = [str(side) if abs(side) <= MAX_ELEMENTS else "(too large)" for side in shape[:MAX_RANK]]
    return f"[{', '.join(sides)}{', ...' if len(shape) > MAX_RANK else ''}]"


def _split(name: str, buffer: memoryview, count: int) -> list[bytes]:
    """The elements of a tensor of BYTES; no more than the buffer can hold are looked for."""
    elements: list[bytes] = []
    position = 0
    while position < len(buffer) and len(elements) < count:
        start = position + LENGTH.size
        if start > len(buffer):
            break
        position = start + LENGTH.unpack_from(buffer, position)[0]
        if position > len(buffer):
            break
        elements.append(bytes(buffer[start:position]))
    if position != len(buffer):
        raise MalformedRequest(
            f"tensor {name!r}: its {len(buffer)} bytes are not {count} BYTES elements, "
            "each with its length before it in 4 bytes, little-endian"
        )
    return elements


def _holds(dtype: np.dtype[Any], array: NDArray[Any]) -> bool:
    """Whether every value of `array` is one of `dtype`, but for the rounding of floats."""
    match dtype.kind:
        case "b":
            return array.dtype.kind == "b"
        case "f":
            return array.dtype.kind in "iuf" and _in_range(dtype, array)
        case "i" | "u":
            limits = np.iinfo(dtype)
            return array.dtype.kind in "iu" and bool(limits.min <= array.min() and array.max() <= limits.max)
        case _:
            return False


def _in_range(dtype: np.dtype[Any], array: NDArray[Any]) -> bool:
    """Whether no finite value becomes infinite as a float of this type."""
    with np.errstate(over="ignore"):
        return bool((np.isfinite(array.astype(dtype)) == np.isfinite(array)).all())
