"""Tensors on the wire, both ways; and what does not fit is refused, whatever it is."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tritonclient.utils import deserialize_bytes_tensor, serialize_byte_tensor, triton_to_np_dtype

from service.errors import MalformedRequest
from service.protocol import DATATYPES, Tensor, bytes_tensor, from_binary, from_numbers, to_binary

NUMBERS = sorted(set(DATATYPES) - {"BYTES"})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=12,
)


@pytest.mark.parametrize("datatype", NUMBERS)
def test_datatypes_are_those_of_tritonclient(datatype: str) -> None:
    assert DATATYPES[datatype] == np.dtype(triton_to_np_dtype(datatype))


@given(st.data(), st.sampled_from(NUMBERS))
def test_numbers_survive_the_wire(data: st.DataObject, datatype: str) -> None:
    array = data.draw(hnp.arrays(DATATYPES[datatype], hnp.array_shapes(max_dims=4, max_side=4)))
    wire = bytes(to_binary(Tensor("image", array)))
    assert wire == array.tobytes()
    back = from_binary("image", datatype, array.shape, wire)
    np.testing.assert_array_equal(back.array, array)
    assert (back.datatype, back.shape) == (datatype, array.shape)


def test_numbers_are_not_copied() -> None:
    buffer = bytearray(12)
    tensor = from_binary("image", "UINT8", (1, 2, 2, 3), memoryview(buffer))
    buffer[0] = 7
    assert tensor.array[0, 0, 0, 0] == 7
    assert np.shares_memory(np.frombuffer(to_binary(tensor), np.uint8), tensor.array)


def test_strided_arrays_are_written_row_major() -> None:
    array = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)[:, ::-1]
    assert bytes(to_binary(Tensor("image", array))) == array.tobytes()


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=6))
def test_bytes_are_as_tritonclient_writes_and_reads_them(elements: list[bytes]) -> None:
    array = np.array([*elements, None], object)[:-1]
    wire = serialize_byte_tensor(array).item()
    tensor = from_binary("image", "BYTES", (len(elements), 1), wire)
    assert list(tensor.array.flat) == elements
    assert tensor.shape == (len(elements), 1)
    assert to_binary(tensor) == wire
    assert list(deserialize_bytes_tensor(to_binary(tensor))) == elements


@given(
    st.sampled_from([*DATATYPES, "BF16", ""]),
    st.lists(st.integers(-2, 6) | st.integers(), max_size=10),
    st.binary(max_size=64),
)
def test_any_bytes_are_a_tensor_or_malformed(datatype: str, shape: list[int], buffer: bytes) -> None:
    try:
        tensor = from_binary("image", datatype, shape, buffer)
    except MalformedRequest:
        return
    assert tensor.shape == tuple(shape)
    assert bytes(to_binary(tensor)) == buffer


@given(st.sampled_from([*DATATYPES, "BF16"]), st.lists(st.integers(0, 4), max_size=3), JSON)
def test_any_values_are_a_tensor_or_malformed(datatype: str, shape: list[int], values: Any) -> None:
    try:
        tensor = from_numbers("image", datatype, shape, values)
    except MalformedRequest:
        return
    assert tensor.shape == tuple(shape)
    assert tensor.datatype == datatype


@pytest.mark.parametrize("values", [[[0, 255]], [0, 255]])
def test_values_may_be_nested_or_flat(values: list[Any]) -> None:
    assert from_numbers("image", "UINT8", (1, 2), values).array.tolist() == [[0, 255]]


@pytest.mark.parametrize(
    ("datatype", "values"),
    [
        ("UINT8", [256, 0]),
        ("UINT8", [-1, 0]),
        ("UINT8", [0.5, 1]),
        ("UINT8", [True, False]),
        ("UINT8", ["1", "2"]),
        ("UINT8", [[1], [2, 3]]),
        ("UINT8", [10**400, 0]),
        ("BOOL", [0, 1]),
        ("FP32", ["a", "b"]),
        ("FP32", [1e39, 0]),
        ("FP16", [70_000, 0]),
    ],
)
def test_values_that_the_datatype_has_not_are_refused(datatype: str, values: list[Any]) -> None:
    with pytest.raises(MalformedRequest, match="'image'"):
        from_numbers("image", datatype, (2,), values)


@pytest.mark.parametrize(
    "values",
    [["a" * 1000] + [""] * 20_000, [["a" * 1000] + [""] * 20_000], [[1] * 1000] * 20 + [["a" * 1000] + [""] * 999]],
    ids=["flat", "nested", "the last row"],
)
def test_one_long_string_takes_no_room_in_every_place(values: list[Any]) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(MalformedRequest, match="must be numbers, or true and false"):
            from_numbers("image", "UINT8", (1,), values)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_lists_of_unequal_length_are_refused() -> None:
    with pytest.raises(MalformedRequest, match="lists of equal length"):
        from_numbers("image", "UINT8", (3,), [[1], [2, 3]])


@pytest.mark.parametrize(
    ("shape", "buffer", "complaint"),
    [
        ((1,), b"\x05\0\0\0abc", "not 1 BYTES elements"),
        ((1,), b"\x01\0\0\0abc", "not 1 BYTES elements"),
        ((2,), b"\x03\0\0\0abc", "has 2 elements, but 1 were sent"),
        ((1,), b"\x01\0", "not 1 BYTES elements"),
        ((0,), b"", "all positive"),
    ],
)
def test_bytes_that_do_not_fit_are_refused(shape: tuple[int, ...], buffer: bytes, complaint: str) -> None:
    with pytest.raises(MalformedRequest, match=complaint):
        from_binary("image", "BYTES", shape, buffer)


@pytest.mark.parametrize("shape", [(1025,), (2, 513), (16_000_000,)])
def test_more_bytes_elements_than_any_model_takes_are_refused_unseen(shape: tuple[int, ...]) -> None:
    started = time.process_time()
    for tensor in (from_binary, refused_elements):
        with pytest.raises(MalformedRequest, match="at most 1024 are allowed"):
            tensor("image", "BYTES", shape, memoryview(bytes(64_000_000)))
    assert time.process_time() - started < 0.5


def refused_elements(name: str, _: str, shape: tuple[int, ...], buffer: memoryview) -> Tensor:
    """As `from_binary`, of elements that were split already."""
    return bytes_tensor(name, shape, range(len(buffer)))  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(10**3999, 10**3999), (2**21, 2**20), (-(10**3999),), (1,) * 100_000])
@pytest.mark.parametrize("datatype", ["UINT8", "BYTES"])
def test_a_shape_that_cannot_be_is_told_in_a_few_words(datatype: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(MalformedRequest, match="shape") as error:
        from_binary("image", datatype, shape, b"\0\0\0\0")
    assert len(error.value.detail) < 200


def test_a_huge_shape_is_refused_without_room_for_it() -> None:
    with pytest.raises(MalformedRequest):
        from_binary("image", "BYTES", (10**15,), b"\0\0\0\0" * 8)
    with pytest.raises(MalformedRequest):
        bytes_tensor("image", (10**15,), [b""])
