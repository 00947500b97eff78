"""Runs a model on the request's tensors unchanged, exactly as Triton would."""

from __future__ import annotations

from collections.abc import Sequence

from service.admission import Ticket
from service.enhancement import EnhanceOptions
from service.errors import InvalidParameter, MalformedRequest
from service.inference import LoadedModel
from service.protocol._inputs import check_inputs
from service.protocol._messages import InferenceRequest, InferenceResponse
from service.protocol._tensors import Tensor


async def run_raw(
    ticket: Ticket[LoadedModel], request: InferenceRequest, max_whole_pixels: int, deadline: float
) -> InferenceResponse:
    """Run the network on the request's inputs, whose names have been checked.

    Args:
        ticket: has the model to run.
        request: has a batch, and says which outputs are wanted; all that are declared if none is named.
        max_whole_pixels: most pixels in the whole batch, which is one pass of the network.
        deadline: see `BatchQueue.submit`.

    Raises:
        InvalidParameter: if a parameter is an option of pictures, which would have no effect.
        MalformedRequest: if a datatype is not the input's, or an output is unknown.
        UnsupportedShape: if a shape does not fit the model's, or is out of its limits.
        NightliftError: the error of the queue or the engine.
    """
    model = ticket.model
    config = model.config
    if options := sorted(request.parameters.keys() & EnhanceOptions.model_fields.keys()):
        raise InvalidParameter(
            f"{options[0]} is an option for encoded pictures (BYTES); tensors go to the network as they are"
        )
    pixels = check_inputs(request.inputs, config, max_whole_pixels)
    names = chosen_outputs(request.outputs, [output.name for output in config.outputs])
    declared_order = tuple(output.name for output in config.outputs if output.name in names)
    inputs = {tensor.name: tensor.array for tensor in request.inputs}
    ticket.charge_pixels(pixels)
    async with ticket.working(deadline):
        ticket.expect("network", model.intake.model, pixels)
        outcome = await model.queue.submit(inputs, declared_order, deadline, caller=ticket.caller)
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
