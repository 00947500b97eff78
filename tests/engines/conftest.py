"""Real Triton servers: one over the repository that we ship, one over a small model of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.repositories import make_repository
from tests.triton_server import ROOT, TritonServer

SHIPPED = ROOT / "model_repository"
SCRIPTED = "_torchscript"


def shipped_models() -> list[str]:
    """The names of all models in the repository that we ship."""
    return sorted(config.parent.name for config in SHIPPED.glob("*/config.pbtxt"))


@pytest.fixture(scope="session")
def shipped_triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """A server over the shipped repository, unmodified.

    All ONNX models are loaded, and one in TorchScript: each of those is a process of its own with its own torch.
    """
    names = shipped_models()
    loaded = [name for name in names if not name.endswith(SCRIPTED)]
    loaded += [name for name in names if name.endswith(SCRIPTED)][:1]
    options = ["--model-control-mode=explicit", *(f"--load-model={name}" for name in loaded)]
    with TritonServer(SHIPPED, tmp_path_factory.mktemp("shipped"), options) as server:
        yield server


@pytest.fixture
def small_triton(tmp_path: Path) -> Iterator[tuple[TritonServer, Path]]:
    """A server over one small, slow model, and its repository; the test may kill it."""
    root = make_repository(tmp_path / "models", slow=0.03, extra="instance_group { kind: KIND_CPU }")
    with TritonServer(root, tmp_path) as server:
        yield server, root
