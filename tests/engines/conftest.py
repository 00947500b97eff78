"""Real Triton servers: one over the models that we ship, one over a small model of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.both_formats import SCRIPTED, shipped_map_models, shipped_models
from tests.repositories import make_repository
from tests.triton_server import TritonServer

IN_TRITON = [*shipped_models(), shipped_models()[0] + SCRIPTED]
"""All ONNX models, and one in TorchScript: each of those is a process of its own with its own torch."""


@pytest.fixture(scope="session")
def shipped_triton(both_formats: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """A server over the models that we ship, as they are."""
    options = [
        "--model-control-mode=explicit",
        *(f"--load-model={name}" for name in (*IN_TRITON, *shipped_map_models())),
    ]
    with TritonServer(both_formats, tmp_path_factory.mktemp("shipped"), options) as server:
        yield server


@pytest.fixture
def small_triton(tmp_path: Path) -> Iterator[tuple[TritonServer, Path]]:
    """A server over one small, slow model, and its repository; the test may kill it."""
    root = make_repository(tmp_path / "models", slow=0.03, extra="instance_group { kind: KIND_CPU }")
    with TritonServer(root, tmp_path) as server:
        yield server, root
