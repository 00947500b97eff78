"""`POST /enhance`: a picture in, a picture out."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response

from service.admission import Ticket
from service.enhancement import Enhanced, EnhanceOptions, Timings
from service.http._body import FIELD, read_upload
from service.http._description import ENHANCE, problem_content, text_header
from service.http._form_options import form_properties, with_form
from service.http._timeouts import cancel_on_disconnect
from service.inference import LoadedModel
from service.pictures import PictureFormat
from service.restoring import Denoise
from service.runtime import Runtime

PICTURE = {"type": "string", "format": "binary"}
REQUEST_BODY = {
    "required": True,
    "content": {
        "image/*": {"schema": PICTURE},
        "application/octet-stream": {"schema": PICTURE},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {FIELD: PICTURE, **form_properties(EnhanceOptions)},
                "required": [FIELD],
                "additionalProperties": False,
            },
        },
    },
}
ANSWER_HEADERS = {
    "Server-Timing": "Milliseconds by stage: read, decode, queue, infer, restore, render, encode",
    "Nightlift-Model": "What answered, name/version",
    "Nightlift-Detail": "How it was rendered: whole, guided, tiles, whole-affine or tiles-affine",
    "Nightlift-Gate": "How much of the enhancement the gate for bright pictures passed, 0 to 1",
    "Nightlift-Source-Size": "Pixels of the upright photo, such as 4000x3000",
    "Nightlift-Luminance-Before": "Mean luminance of the photo, 0 to 1",
    "Nightlift-Luminance-After": "Mean luminance of the enhanced photo, 0 to 1",
    "Nightlift-Denoise": "Requested noise reduction, and its size relative to the picture: auto; scale=1",
    "Nightlift-Restored": "Share of the picture that was restored, 0 to 1",
    "Nightlift-Dropped": "Parts of the file that the answer lacks, if any: frames, gain-map",
    "X-Request-ID": "Id of this request in the service's log",
}
RESPONSES: dict[int | str, dict] = {
    200: {
        "description": "The enhanced picture",
        "content": {format.media_type: {"schema": PICTURE} for format in PictureFormat if format.is_written},
        "headers": {name: text_header(text) for name, text in ANSWER_HEADERS.items()},
    },
    **{
        status: {"description": HTTPStatus(status).phrase, "content": problem_content()}
        for status in (400, 401, 403, 404, 406, 408, 413, 415, 422, 429, 500, 503, 504)
    },
}

router = APIRouter(tags=[ENHANCE])


@router.post(
    "/enhance",
    response_class=Response,
    responses=RESPONSES,
    openapi_extra={"requestBody": REQUEST_BODY},
    summary="Enhance a dark photo",
)
async def enhance(
    request: Request,
    options: Annotated[EnhanceOptions, Query()],
    accept: Annotated[str | None, Header(max_length=1024)] = None,
    x_request_timeout: Annotated[str | None, Header(description="Seconds that the client will wait")] = None,
) -> Response:
    """Send a photo as the body, or in the form field `image`; the answer is the bright photo, in the same size and
    format.

    The format is recognised by content, whatever Content-Type says. Accepted are JPEG, PNG, WebP, AVIF, HEIC, TIFF,
    BMP, GIF, and camera raw if the service has that extra. A form may hold the options, too.
    """
    runtime: Runtime = request.app.state.runtime
    ticket: Ticket[LoadedModel] = request.state.ticket
    timings = Timings()
    upload = await read_upload(request)
    options = with_form(options, request.query_params, upload.options)
    timings.add("read", time.monotonic() - request.state.started)
    ticket.reserve(options.model, options.version)
    enhanced = await cancel_on_disconnect(
        request, runtime.pipeline.enhance(upload.picture, options, ticket, accept=accept, timings=timings)
    )
    return Response(enhanced.data, media_type=enhanced.format.media_type, headers=_headers(enhanced))


def _headers(enhanced: Enhanced) -> dict[str, str]:
    dropped = {"Nightlift-Dropped": ", ".join(enhanced.dropped)} if enhanced.dropped else {}
    stages = ", ".join(f"{stage};dur={seconds * 1000:.2f}" for stage, seconds in enhanced.timings.seconds.items())
    return {
        "Cache-Control": "no-store",
        "Vary": "Accept",
        "Server-Timing": stages,
        "Nightlift-Model": f"{enhanced.model}/{enhanced.version}",
        "Nightlift-Detail": enhanced.detail,
        "Nightlift-Gate": f"{enhanced.gate:.3f}",
        "Nightlift-Source-Size": f"{enhanced.source_width}x{enhanced.source_height}",
        "Nightlift-Luminance-Before": f"{enhanced.luminance_before:.4f}",
        "Nightlift-Luminance-After": f"{enhanced.luminance_after:.4f}",
        "Nightlift-Denoise": f"{_number(enhanced.denoise)}; scale={enhanced.denoise_scale:g}",
        "Nightlift-Restored": f"{enhanced.restored:.3f}",
        **dropped,
    }


def _number(denoise: Denoise) -> str:
    return denoise if isinstance(denoise, str) else f"{denoise:g}"
