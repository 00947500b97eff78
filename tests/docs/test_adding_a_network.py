"""docs/adding_a_network.md, followed to the letter in a copy of the sources."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.docs.documents import ROOT, blocks
from tests.pictures import SCENES, dark_scene, decoded, encoded, scene

COPIED = ("nightlift", "service", "training", "export", "tests", "pyproject.toml")


def test_the_document_works_as_it_stands(tmp_path: Path) -> None:
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tmp_path)
    photos = tmp_path / "data/photos"
    photos.mkdir(parents=True)
    for name in SCENES:
        (photos / f"{name}_dark.png").write_bytes(encoded(dark_scene(name, (48, 64))))
        (photos / f"{name}.png").write_bytes(encoded(scene(name, (48, 64))))
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, words in (("nightlift", "-m nightlift.cli"), ("python", "")):
        (tools / name).write_text(f'#!/bin/sh\nexec {sys.executable} {words} "$@"\n')
        (tools / name).chmod(0o755)
    environment = os.environ | {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "PYTHONPATH": str(tmp_path),
        "OMP_NUM_THREADS": "1",
    }

    for block in blocks(ROOT / "docs/adding_a_network.md"):
        if block.file:
            (tmp_path / block.file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / block.file).write_text(block.text)
        elif block.language == "sh":
            outcome = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block.text],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=900,
            )
            assert outcome.returncode == 0, f"{block.text}\n{outcome.stdout[-2000:]}\n{outcome.stderr[-3000:]}"

    assert (tmp_path / "models/glow/MODEL_CARD.md").read_text().count("Glow")
    assert (tmp_path / "models/glow_torchscript/1/model.pt").is_file()
    assert (tmp_path / "models/relight/1/model.onnx").is_file()
    assert (tmp_path / "bright/contact_sheet_001.jpg").is_file()
    assert mean(tmp_path / "bright/coffee_dark.png") > mean(photos / "coffee_dark.png")


def mean(path: Path) -> float:
    return float(decoded(path.read_bytes()).mean())
