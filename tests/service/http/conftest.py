"""One real server for the HTTP tests, with a tiny model."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.repositories import make_repository
from tests.servers import Server, serving

MAX_BODY_BYTES, MAX_RAW_BODY_BYTES = 3_000_000, 6_000_000

TOLD = {"family": "worlds", "licence": "Research only.", "scores": {"data": "LOLv1 eval15", "psnr": 18.8}}
"""What `world` says about itself."""


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service with the models `brighten` (the default), `other`, `world` (global) and `tiny` (tiles)."""
    folder = tmp_path_factory.mktemp("http")
    repository = make_repository(folder / "models", ("brighten", "other"), versions=(1, 2))
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in TOLD.items()}
    told = (
        f"parameters {{ key: 'nightlift.{name}' value {{ string_value: '{text}' }} }}" for name, text in texts.items()
    )
    make_repository(repository, ("world",), scope="global", extra="\n".join(told))
    make_repository(repository, ("tiny",), max_pixels=64 * 64, max_queue_size=5)
    limits = {
        "max_body_bytes": MAX_BODY_BYTES,
        "max_raw_body_bytes": MAX_RAW_BODY_BYTES,
        "max_pixels": 4_000_000,
        "max_whole_pixels": 2_000_000,
    }
    required = "brighten,other,world,tiny"
    with serving(repository, folder, default_model="brighten", required_models=required, **limits) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    """An HTTP client of that server."""
    with httpx.Client(base_url=server.url, timeout=30) as http:
        yield http
