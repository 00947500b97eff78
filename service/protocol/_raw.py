"""Pixels straight to a model, exactly as Triton would run it: tensors in, tensors out, nothing in between."""

from __future__ import annotations

import math
from collections.abc import Sequence

from service.admission import Ticket
from service.errors import MalformedRequest, UnsupportedShape
from service.inference import LoadedModel
from service.protocol._messages import InferenceRequest, InferenceResponse
from service.protocol._tensors import Tensor
from service.repository import ModelConfig


async def run_raw(
    ticket: Ticket[LoadedModel], tensor: Tensor, request: InferenceRequest, max_whole_pixels: int, deadline: float
) -> InferenceResponse:
    """Run the network on a batch of pictures, UINT8 [n, H, W, 3].

    Args:
        ticket: has the model to run.
        tensor: the only input, by its name.
        request: says which outputs are wanted; all that are declared if none is named.
        max_whole_pixels: most pixels in the whole tensor, which is one pass of the network.
        deadline: see `BatchQueue.submit`.

    Raises:
        MalformedRequest: if the datatype is not the input's, or an output is unknown.
        UnsupportedShape: if the shape does not fit the model's, or is out of its limits.
        NightliftError: whatever became of it in the queue.
    """
    model = ticket.model
    config = model.config
    if tensor.datatype != config.inputs[0].datatype:
        raise MalformedRequest(
            f"input {tensor.name!r} is {tensor.datatype}; it must be {config.inputs[0].datatype} pixels, "
            "or BYTES that hold encoded pictures"
        )
    _check_shape(tensor.shape, config, max_whole_pixels)
    names = chosen_outputs(request.outputs, [output.name for output in config.outputs])
    declared_order = tuple(output.name for output in config.outputs if output.name in names)
    pixels = math.prod(tensor.shape[:-1])
    ticket.charge_pixels(pixels)
    async with ticket.working(deadline):
        ticket.expect("network", model.intake.model, pixels)
        outcome = await model.queue.submit(tensor.array, declared_order, deadline, caller=ticket.caller)
        ticket.done("network", model.intake.model, pixels)
    outputs = tuple(Tensor(name, outcome.tensors[name]) for name in names)
    return InferenceResponse(model.name, model.version, request.id, outputs)


def chosen_outputs(wanted: Sequence[str], available: Sequence[str]) -> tuple[str, ...]:
    """The outputs to answer with, in the order asked for; all if none is named.

    Raises:
        MalformedRequest: if one is not available, or named twice.
    """
    for name in wanted:
        if name not in available:
            raise MalformedRequest(f"there is no output {name!r}; the outputs are {', '.join(available)}")
    if len(set(wanted)) != len(wanted):
        raise MalformedRequest(f"an output is named twice in {', '.join(wanted)}")
    return tuple(wanted or available)


def check_batch(count: int, most: int) -> None:
    """Check how many pictures one request brings.

    Raises:
        UnsupportedShape: if there are more than `most`.
    """
    if count > most:
        raise UnsupportedShape(
            f"the request brings {count} pictures, and the model takes at most {most} at once", max_batch_size=most
        )


def _check_shape(shape: tuple[int, ...], config: ModelConfig, max_whole_pixels: int) -> None:
    expected = config.wire_shape(config.inputs[0])
    if len(shape) != len(expected) or any(
        side not in (given, -1) for given, side in zip(shape, expected, strict=True)
    ):
        raise UnsupportedShape(
            f"input {config.inputs[0].name!r} has shape {list(shape)}; {list(expected)} is expected"
        )
    count, height, width, _ = shape
    if config.max_batch_size:  # with 0 the batch axis is one of the tensor's own, and pixels alone limit it
        check_batch(count, config.max_batch_size)
    if min(height, width) < config.traits.smallest_side:
        raise UnsupportedShape(
            f"a picture of {width} x {height} pixels is too narrow; "
            f"the shortest side allowed is {config.traits.smallest_side}"
        )
    if count * height * width > max_whole_pixels:
        raise UnsupportedShape(
            f"{count} x {width} x {height} pixels are more than the {max_whole_pixels} that one pass of the network "
            "takes; send fewer at once, or encoded pictures as BYTES",
            max_whole_pixels=max_whole_pixels,
        )
