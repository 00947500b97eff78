"""docs/training.md and its like in the README, followed in order: train, evaluate, export and serve, on tiny data.

The commands are those of the documents, in a folder that looks like a clone. They run in this process, since torch
takes longer to import than most of them take.
"""

from __future__ import annotations

import csv
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import torch
from typer.testing import CliRunner

from nightlift.cli import app
from tests.docs.documents import ROOT
from tests.docs.ledger import Runner, commands_of
from tests.export.checkpoints import save_checkpoint, seeded
from tests.pictures import SCENES, dark_scene, decoded, encoded, pair
from tests.servers import serving
from training import networks

SHORTER = {"train": ["--steps", "2"], "export": ["--no-full-size"]}
"""Flags that keep the test quick."""

COMMANDS = commands_of(Runner.TRAINING)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data, models and checkpoints that the documents name."""
    root = tmp_path_factory.mktemp("clone")
    for name in ("zero_dce", "zero_dce_improved"):
        shutil.copytree(ROOT / "model_repository" / name, root / "model_repository" / name)
    for folder, size in (("zero_dce_train", (160, 200)), ("LIME", (192, 208))):
        (root / "data" / folder).mkdir(parents=True)
        for name in SCENES[:4]:
            (root / "data" / folder / f"{name}.png").write_bytes(encoded(dark_scene(name, size)))
    for split, names in (("our485", SCENES), ("eval15", SCENES[:2])):
        for side, of_pair in (("low", 0), ("high", 1)):
            (root / "data/LOLv1" / split / side).mkdir(parents=True)
            for name in names:
                picture = pair(name, (64, 96))[of_pair]
                (root / "data/LOLv1" / split / side / f"{name}.png").write_bytes(encoded(picture))
    for run, network, file in (("zero_dce", "zero_dce", "final.pt"), ("drbn_proxy", "drbn", "best.pt")):
        (root / "runs" / run).mkdir(parents=True)
        save_checkpoint(root / "runs" / run / file, network)
    # What Zero-DCE's authors publish: the weights, wrapped for several GPUs.
    weights = seeded(networks.create("zero_dce")).state_dict()
    torch.save({f"module.{name}": value for name, value in weights.items()}, root / "Epoch99.pth")
    return root


@pytest.fixture(scope="module", autouse=True)
def inside(clone: Path) -> Iterator[None]:
    """The tests run in the clone, with its models."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(clone)
        patch.setenv("NIGHTLIFT_MODEL_REPOSITORY", str(clone / "model_repository"))
        yield


def test_the_round_is_complete() -> None:
    assert [command.split()[1] for command in COMMANDS[:4]] == ["train", "evaluate", "export", "serve"]


@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "nightlift serve"])
def test_commands_run_in_the_order_of_the_documents(command: str) -> None:
    program, *words = shlex.split(command)
    if program == "python":
        subprocess.run([sys.executable, *words], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
        return
    outcome = CliRunner().invoke(app, [*words, *SHORTER.get(words[0], [])], catch_exceptions=False)
    assert outcome.exit_code == 0, outcome.output


def test_the_round_has_left_what_it_should(clone: Path) -> None:
    """After the commands above: curves, tables, and a new version of the model with its scores."""
    with (clone / "runs/zero_dce_improved_cpu/curve.csv").open() as file:
        assert len(list(csv.DictReader(file))) >= 1
    table = (clone / "runs/evaluation/evaluation.md").read_text()
    assert "stretch" in table
    assert (clone / "model_repository/zero_dce_improved/2/model.onnx").is_file()
    assert (clone / "model_repository/zero_dce_official/1/model.onnx").is_file()
    (variant,) = (clone / "torchscript_models").glob("*/*/model.pt")
    assert variant.parts[-3:-1] == ("zero_dce_improved_torchscript", "2")
    photo = dark_scene("coffee", (64, 96))
    only = "zero_dce_improved"
    with serving(clone / "model_repository", clone / "log", models=only, default_model=only) as server:
        answer = httpx.post(f"{server.url}/enhance", content=encoded(photo), timeout=60)
    assert answer.headers["Nightlift-Model"].startswith("zero_dce_improved/")
    assert decoded(answer.content).shape == photo.shape
