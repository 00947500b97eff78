"""The examples for tritonclient, curl and our own client, run as they stand on the models that we ship."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.documents import ROOT, blocks
from tests.pictures import dark_scene, decoded, encoded
from tests.servers import Server, serving

PROTOCOL, README = ROOT / "docs/protocol.md", ROOT / "README.md"
MODEL = "zero_dce_improved"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The service over the shipped models."""
    with serving(ROOT / "model_repository", tmp_path_factory.mktemp("protocol"), models=MODEL) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the examples' photo."""
    for name in ("dark.jpg", "photo.jpg"):
        (tmp_path / name).write_bytes(encoded(dark_scene("coffee", (120, 180)), "jpeg"))
    return tmp_path


def example(document: Path, language: str, sign: str, server: Server) -> str:
    """The one block of a document that contains `sign`, its ports being those of the server."""
    found = [block.text for block in blocks(document) if block.language == language and sign in block.text]
    assert len(found) == 1
    return found[0].replace(":8001", f":{server.grpc_port}").replace(":8000", f":{server.port}")


@pytest.mark.parametrize(
    ("document", "sign", "answer"),
    [
        (PROTOCOL, "import tritonclient.grpc", "bright.webp"),
        (README, "import tritonclient", "bright.jpg"),
        (README, "from nightlift import Client", "bright.jpg"),
    ],
)
def test_python_examples(server: Server, folder: Path, document: Path, sign: str, answer: str) -> None:
    subprocess.run([sys.executable, "-c", example(document, "python", sign, server)], cwd=folder, check=True)
    bright, dark = decoded((folder / answer).read_bytes()), decoded((folder / "dark.jpg").read_bytes())
    assert bright.shape == dark.shape
    assert bright.mean() > 1.3 * dark.mean()


def test_curl_example(server: Server, folder: Path) -> None:
    script = example(PROTOCOL, "sh", "curl -s", server)
    subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=folder, check=True)
    assert decoded((folder / "bright.jpg").read_bytes()).shape == (120, 180, 3)
