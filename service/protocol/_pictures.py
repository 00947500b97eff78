"""Encoded pictures in a tensor of BYTES: each goes through the whole pipeline, as by `POST /enhance`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from service.admission import Ticket
from service.enhancement import Enhanced, EnhanceOptions
from service.errors import InvalidParameter
from service.inference import ENHANCED, LoadedModel
from service.pipeline import Pipeline
from service.protocol._inputs import check_batch
from service.protocol._messages import InferenceRequest, InferenceResponse, Parameter, describe
from service.protocol._raw import chosen_outputs
from service.protocol._tensors import Tensor, bytes_tensor

NAMED_BY_THE_REQUEST = ("model", "version")


async def run_pictures(
    pipeline: Pipeline, ticket: Ticket[LoadedModel], tensor: Tensor, request: InferenceRequest, deadline: float
) -> InferenceResponse:
    """Enhance every picture of `tensor`; the output `enhanced` has its shape.

    The request's parameters are the options, by the names of `EnhanceOptions`. The response's parameters report on
    the picture (`detail`, `gate`, `luminance_before`, ...); where there are several, with their index: `detail.0`.

    Raises:
        InvalidParameter: if a parameter is no option, or out of its range.
        UnsupportedShape: if there are more pictures than the model takes at once.
        NightliftError: that of the first picture that failed; the others are given up.
    """
    model = ticket.model
    check_batch(tensor.array.size, most=max(1, model.config.max_batch_size))
    chosen_outputs(request.outputs, [ENHANCED])
    options = _options(request, model)
    pictures = await pipeline.enhance_all(list(tensor.array.flat), options, ticket, deadline)
    return InferenceResponse(
        model.name,
        model.version,
        request.id,
        (bytes_tensor(ENHANCED, tensor.shape, [picture.data for picture in pictures]),),
        _reports(pictures),
    )


def _options(request: InferenceRequest, model: LoadedModel) -> EnhanceOptions:
    parameters = request.own_parameters
    for name in NAMED_BY_THE_REQUEST:
        if name in parameters:
            raise InvalidParameter(
                f"{name} is not a parameter here: the request itself names the model and its version"
            )
    options = sorted(set(EnhanceOptions.model_fields) - set(NAMED_BY_THE_REQUEST))
    if unknown := sorted(set(parameters) - set(options)):
        raise InvalidParameter(f"{unknown[0]!r} is not a parameter; the options are {', '.join(options)}")
    try:
        return EnhanceOptions.model_validate({**parameters, "model": model.name, "version": model.version})
    except ValidationError as error:
        raise InvalidParameter(describe(error)) from None


def _reports(pictures: Sequence[Enhanced]) -> Mapping[str, Parameter]:
    if len(pictures) == 1:
        return _report(pictures[0])
    return {
        f"{name}.{index}": value for index, picture in enumerate(pictures) for name, value in _report(picture).items()
    }


def _report(picture: Enhanced) -> dict[str, Parameter]:
    return {
        "format": str(picture.format),
        "width": picture.width,
        "height": picture.height,
        "source_width": picture.source_width,
        "source_height": picture.source_height,
        "detail": str(picture.detail),
        "gate": picture.gate,
        "luminance_before": picture.luminance_before,
        "luminance_after": picture.luminance_after,
        "denoise": picture.denoise if isinstance(picture.denoise, str) else f"{picture.denoise:g}",
        "denoise_scale": picture.denoise_scale,
        "restored": picture.restored,
        **({"dropped": ", ".join(picture.dropped)} if picture.dropped else {}),
    }
