"""`python -m export.torchscript`: variants made of the kept weights are those that export wrote."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from export import changed_files, make_torchscript
from export.torchscript import main
from tests.export.checkpoints import Exported

ONNX, SCRIPTED = "zero_dce_improved", "zero_dce_improved_torchscript"


@pytest.fixture
def repository(exported: Exported, tmp_path: Path) -> Path:
    """What is kept of an exported repository."""
    shutil.copytree(exported.repository / ONNX, tmp_path / "models" / ONNX)
    return tmp_path / "models"


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_file_is_the_one_that_export_wrote(exported: Exported, repository: Path) -> None:
    kept = contents(repository)
    report = make_torchscript(repository, full_size=False)
    assert [model.file for model in report.models] == [repository / SCRIPTED / "1" / "model.pt"]
    assert contents(repository / SCRIPTED) == contents(exported.repository / SCRIPTED)
    assert {name: content for name, content in contents(repository).items() if name in kept} == kept


def test_scores_come_along(repository: Path) -> None:
    data, machine = {"layout": "lolv1", "split": "test", "pictures": 15}, {"processor": "a processor", "threads": 2}
    scores = json.dumps({"rows": [], "models": [], "data": data, "machine": machine, "conventions": ""}).encode()
    (repository / ONNX / "2").mkdir()
    for name, content in contents(repository / ONNX / "1").items():
        (repository / ONNX / "2" / name).write_bytes(content)
    (repository / ONNX / "2" / "scores.json").write_bytes(scores)
    (model,) = make_torchscript(repository, [ONNX], full_size=False).models
    assert model.file.parent.name == "2", "the latest version"
    assert not (repository / SCRIPTED / "1").exists()
    assert (model.file.parent / "scores.json").read_bytes() == scores


def test_another_folder_may_take_them(repository: Path, tmp_path: Path) -> None:
    (model,) = make_torchscript(repository, to=tmp_path / "others", full_size=False).models
    assert model.file == tmp_path / "others" / SCRIPTED / "1" / "model.pt"
    assert [folder.name for folder in repository.iterdir()] == [ONNX]


def test_what_is_there_stays_unless_it_is_of_other_weights(repository: Path) -> None:
    (made,) = make_torchscript(repository, full_size=False).models
    before = made.file.stat().st_ino
    (again,) = make_torchscript(repository, full_size=False).models
    assert (again.file, again.parity, again.file.stat().st_ino) == (made.file, made.parity, before)

    manifest = made.file.with_name("manifest.json")
    manifest.write_text(manifest.read_text().replace('"weights": {\n  "sha256": "', '"weights": {\n  "sha256": "0'))
    with pytest.raises(FileExistsError, match=rf"{SCRIPTED}/1 has other weights"):
        make_torchscript(repository, full_size=False)
    make_torchscript(repository, overwrite=True, full_size=False)
    made.file.write_bytes(made.file.read_bytes()[:-1])
    with pytest.raises(FileExistsError, match="use overwrite to replace it"):
        make_torchscript(repository, full_size=False)


def test_what_cannot_be_made(repository: Path) -> None:
    with pytest.raises(FileNotFoundError, match=rf"no exported ONNX model is called night in .*, but {ONNX}"):
        make_torchscript(repository, ["night"])
    weights = repository / ONNX / "1" / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert [line for line in changed_files(repository) if "weights.safetensors has sha256" in line]
    for _ in range(2):
        with pytest.raises(FileNotFoundError, match=r"lacks the weights\.safetensors that its manifest\.json names"):
            make_torchscript(repository)
        weights.unlink(missing_ok=True)
    assert not (repository / SCRIPTED).exists()


def test_the_command(repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["torchscript", ONNX, "--repository", str(repository), "--no-full-size"])
    assert main() == 0
    assert f"{SCRIPTED}/1/model.pt: " in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["torchscript", "night", "--repository", str(repository)])
    assert main() == 1
    assert "no exported ONNX model is called night" in capsys.readouterr().err
