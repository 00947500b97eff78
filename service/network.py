"""Runs a picture's work items through the queue of their model."""

from __future__ import annotations

from functools import partial
from typing import Any

from numpy.typing import NDArray

from service.concurrency import gather_limited
from service.contract import ENHANCED
from service.errors import Draining, EngineFailed, InvalidParameter
from service.inference import ArrivalHint, LoadedModel, Outcome, Tensors
from service.rendering import Prepared, RenderPlan


def check_takes_pictures(model: LoadedModel) -> None:
    """Check that pictures can be enhanced with a model.

    Raises:
        InvalidParameter: if it takes only its own tensors.
    """
    if not model.config.takes_pictures:
        names = ", ".join(tensor.name for tensor in model.config.inputs)
        raise InvalidParameter(
            f"model {model.name!r} takes no pictures, only the tensors {names} by the Open Inference Protocol; GET "
            "/models lists which models take pictures",
            model=model.name,
        )


async def run_network(
    model: LoadedModel,
    prepared: Prepared,
    deadline: float | None = None,
    expectation: ArrivalHint | None = None,
    caller: str = "",
) -> tuple[list[NDArray[Any]], list[Outcome]]:
    """Run a picture's work items, a few at a time: (results for `finish` and `fit_effect`, outcome of each item).

    The other arguments and the errors are those of `BatchQueue.submit`.
    """
    output = prepared.plan.output

    async def submit(inputs: Tensors) -> Outcome:
        outcome = await run(inputs)
        _check_size(outcome.tensors[output][0], inputs, output)
        return outcome

    async def run(inputs: Tensors) -> Outcome:
        queue = model_for(model, prepared.plan).queue
        try:
            return await queue.submit(inputs, (output,), deadline, expectation, caller)
        except Draining:
            # The model of maps did not admit this request itself, so a reload may just have closed its queue.
            if (renewed := model_for(model, prepared.plan).queue) is queue:
                raise
            return await renewed.submit(inputs, (output,), deadline, expectation, caller)

    outcomes = await gather_limited([partial(submit, inputs) for inputs in prepared.inputs()])
    return [outcome.tensors[output][0] for outcome in outcomes], outcomes


def _check_size(result: NDArray[Any], inputs: Tensors, output: str) -> None:
    """Raise EngineFailed unless a result has its input's size: rendering relies on it."""
    height, width = next(iter(inputs.values())).shape[1:3]
    fits = result.shape == (height, width, 3) if output == ENHANCED else result.ndim == 3 and result.size > 0
    if not fits:
        raise EngineFailed(f"the model answered {list(result.shape)} to a picture of {[height, width, 3]}")


def model_for(model: LoadedModel, render_plan: RenderPlan) -> LoadedModel:
    """The model that gets the work items of a picture: itself, or the one that makes its maps."""
    return model if render_plan.exposure is None else model.of_maps
