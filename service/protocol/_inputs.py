"""Checks that the tensors of a request are those of its model, before they are queued."""

from __future__ import annotations

from collections.abc import Sequence

from service.contract import pixels_of
from service.errors import MalformedRequest, UnsupportedShape
from service.protocol._tensors import Tensor
from service.repository import ModelConfig, TensorSpec, fits


def check_names(inputs: Sequence[Tensor], config: ModelConfig) -> None:
    """Check that a request brings every input of its model, once, and no other.

    Raises:
        MalformedRequest: if it does not.
    """
    names = [spec.name for spec in config.inputs]
    if sorted(tensor.name for tensor in inputs) == sorted(names):
        return
    given = ", ".join(repr(tensor.name) for tensor in inputs) or "none"
    takes = ", ".join(map(repr, names))
    wanted = f"one input, {takes}" if len(names) == 1 else f"the inputs {takes}"
    raise MalformedRequest(f"model {config.name!r} has {wanted}; the request's inputs are: {given}")


def check_inputs(inputs: Sequence[Tensor], config: ModelConfig, max_whole_pixels: int) -> int:
    """Check datatypes, shapes and sizes of the inputs that `check_names` has let pass.

    Args:
        inputs: all of the model's, in any order.
        config: the model's.
        max_whole_pixels: most pixels in all of them, which are one pass of the network.

    Returns:
        Pixels of the whole batch.

    Raises:
        MalformedRequest: if a datatype is not the input's.
        UnsupportedShape: if a shape does not fit the model's or the other inputs', or is out of the limits.
    """
    specs = {spec.name: spec for spec in config.inputs}
    for tensor in inputs:
        _check_one(tensor, specs[tensor.name], config)
    count = _batch_of(inputs, config)
    _check_sides(inputs, config)
    pixels = count * pixels_of(tensor.shape[1:] for tensor in inputs)
    if pixels > max_whole_pixels:
        shapes = ", ".join(f"{tensor.name!r} {list(tensor.shape)}" for tensor in inputs)
        instead = ", or encoded pictures as BYTES" if config.takes_pictures else ""
        raise UnsupportedShape(
            f"{shapes}: these {pixels} pixels exceed the {max_whole_pixels} that one pass of the network may "
            f"have; send fewer at once{instead}",
            max_whole_pixels=max_whole_pixels,
        )
    return pixels


def check_batch(count: int, most: int) -> None:
    """Check how many pictures, or items of other tensors, one request brings.

    Raises:
        UnsupportedShape: if there are more than `most`.
    """
    if count > most:
        raise UnsupportedShape(
            f"the request has a batch of {count}, but the model takes at most {most} at once", max_batch_size=most
        )


def _check_one(tensor: Tensor, spec: TensorSpec, config: ModelConfig) -> None:
    if tensor.datatype != spec.datatype:
        instead = " pixels, or BYTES that hold encoded pictures" if config.takes_pictures else ""
        raise MalformedRequest(f"input {tensor.name!r} is {tensor.datatype}; it must be {spec.datatype}{instead}")
    expected = config.wire_shape(spec)
    if not fits(tensor.shape, expected):
        free = ", where -1 is any number" if -1 in expected else ""
        raise UnsupportedShape(
            f"input {tensor.name!r} has shape {list(tensor.shape)}; {list(expected)} is expected{free}"
        )


def _batch_of(inputs: Sequence[Tensor], config: ModelConfig) -> int:
    lengths = {tensor.name: tensor.shape[0] for tensor in inputs}
    if len(set(lengths.values())) != 1:
        given = ", ".join(f"{name!r} {length}" for name, length in lengths.items())
        raise UnsupportedShape(f"the first axis is the batch, and must be equally long in all inputs; it is {given}")
    count = inputs[0].shape[0]
    if config.max_batch_size:  # with 0 the batch axis is one of the tensor's own, and pixels alone limit it
        check_batch(count, config.max_batch_size)
    return count


def _check_sides(inputs: Sequence[Tensor], config: ModelConfig) -> None:
    """Check heights and widths of tensors that have the form of pictures, [n, height, width, channels]."""
    sides = {tensor.name: tensor.shape[1:3] for tensor in inputs if len(tensor.shape) == 4}
    for name, (height, width) in sides.items():
        if min(height, width) < config.traits.smallest_side:
            raise UnsupportedShape(
                f"input {name!r} of {width} x {height} pixels is too narrow; "
                f"the shortest side allowed is {config.traits.smallest_side}"
            )
    if len({sides[name] for name in config.same_size}) > 1:
        given = ", ".join(f"{name!r} {sides[name][0]} and {sides[name][1]}" for name in config.same_size)
        raise UnsupportedShape(f"heights and widths must be equal in these inputs, but are {given}")
