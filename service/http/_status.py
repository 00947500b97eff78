"""Probes, metrics, the list of models, and explanations of problem types."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import JSONResponse, Response

from service.http._description import MODELS, OPERATION, PROTOCOL
from service.http._problems import problem_types
from service.inference import LoadedModel, ModelState
from service.limits import MAX_ASPECT_RATIO, MIN_SIDE
from service.runtime import Runtime

router = APIRouter()


@router.get("/v2/health/live", tags=[PROTOCOL], summary="As /livez", responses={503: {}})
@router.get("/livez", tags=[OPERATION], summary="Whether the process should be left running", responses={503: {}})
async def livez(request: Request) -> Response:
    """200 as long as the event loop runs; 503 if a model's device has failed for good, which only a restart fixes."""
    runtime: Runtime = request.app.state.runtime
    return JSONResponse({"live": runtime.live}, 200 if runtime.live else 503)


@router.get("/readyz", tags=[OPERATION], summary="Whether requests should be sent here", responses={503: {}})
async def readyz(request: Request) -> Response:
    """200 when the required models are loaded and warmed and the service is not about to stop, else 503."""
    runtime: Runtime = request.app.state.runtime
    body = {
        "ready": runtime.ready,
        "phase": str(runtime.phase),
        "models": {name: str(runtime.models.state(name)) for name in runtime.settings.required},
    }
    return JSONResponse(body, 200 if runtime.ready else 503)


@router.get("/v2/health/ready", tags=[PROTOCOL], summary="As /readyz", responses={503: {}})
async def ready(request: Request) -> Response:
    """As the Open Inference Protocol has it."""
    is_ready = request.app.state.runtime.ready
    return JSONResponse({"ready": is_ready}, 200 if is_ready else 503)


@router.get("/metrics", tags=[OPERATION], summary="Prometheus metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """The text exposition format, or OpenMetrics with exemplars where `Accept` asks for it."""
    runtime: Runtime = request.app.state.runtime
    body, media_type = await asyncio.to_thread(runtime.metrics.expose, request.headers.get("accept", ""))
    return Response(body, headers={"Content-Type": media_type, "Vary": "Accept"})


@router.get("/models", tags=[MODELS], summary="The available models")
async def models(request: Request) -> dict[str, Any]:
    """Families, variants, versions, what each runs on, licence note, measured scores, and the limits on photos.

    A model that takes no pictures is called with its own tensors, below `/v2`. `restorer` is the one that removes
    noise from results, for the option `denoise`; null if there is none.
    """
    runtime: Runtime = request.app.state.runtime
    loaded = {(model.name, model.version): model for model in runtime.models.loaded()}
    entries = []
    for status in await asyncio.to_thread(runtime.models.index):
        entry: dict[str, Any] = {
            "name": status.name,
            "version": status.version or None,
            "state": str(status.state),
            "ready": status.state is ModelState.READY,
        }
        if status.reason:
            entry["reason"] = status.reason
        if model := loaded.get((status.name, status.version)):
            entry.update(_describe(model))
        entries.append(entry)
    usable = {entry["name"] for entry in entries if entry["state"] in (ModelState.READY, ModelState.LOADING)}
    return {
        "default": runtime.settings.default_model,
        "restorer": runtime.settings.restorer if runtime.settings.restorer in usable else None,
        "limits": _limits(runtime),
        "models": entries,
    }


@router.get("/problems/{slug}", summary="What a problem type means", include_in_schema=False)
async def problem(slug: str) -> dict[str, Any]:
    """The page that a problem document's `type` points to."""
    kind = problem_types().get(slug)
    if kind is None:
        raise HTTPException(404)
    return {
        "type": f"/problems/{kind.slug}",
        "title": kind.title,
        "status": int(kind.status),
        "grpc_code": kind.grpc_code,
        "meaning": " ".join((kind.__doc__ or "").split("\n\n")[0].split()),
    }


def _limits(runtime: Runtime) -> dict[str, float]:
    """Limits of every model, so that clients need not send a photo to learn them."""
    settings = runtime.settings
    return {
        "max_body_bytes": settings.max_body_bytes,
        "max_raw_body_bytes": max(settings.max_body_bytes, settings.max_raw_body_bytes),
        "max_pixels": settings.max_pixels,
        "min_side": MIN_SIDE,
        "max_aspect_ratio": MAX_ASPECT_RATIO,
    }


def _describe(model: LoadedModel) -> dict[str, Any]:
    traits, info = model.config.traits, model.engine.info
    return {
        "family": traits.family,
        "takes_pictures": model.config.takes_pictures,
        "engine": info.engine,
        "provider": info.provider,
        "device": info.device,
        "precision": info.precision,
        "placement": info.placement,
        "spatial_scope": str(traits.spatial_scope),
        "working_side": traits.working_side,
        "max_pixels": traits.max_pixels,
        "takes_exposure": bool(traits.map_model),
        "licence": model.config.licence,
        "scores": model.config.scores,
    }
