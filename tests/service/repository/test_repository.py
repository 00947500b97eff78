"""The folder of models: names, versions, policies, and that a name cannot walk out of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from service.errors import ModelNotFound
from service.repository import ConfigError, ModelRepository
from tests.repositories import make_repository


def with_policy(root: Path, policy: str) -> ModelRepository:
    config = root / "brighten" / "config.pbtxt"
    config.write_text(config.read_text().replace("version_policy { all { } }", policy))
    return ModelRepository(root)


@pytest.mark.parametrize(
    ("policy", "served"),
    [
        ("", [10]),
        ("version_policy { latest { num_versions: 2 } }", [2, 10]),
        ("version_policy { latest { } }", [10]),
        ("version_policy { specific { versions: [ 10, 1, 7 ] } }", [1, 10]),
        ("version_policy { all { } }", [1, 2, 10]),
    ],
)
def test_version_policies(tmp_path: Path, policy: str, served: list[int]) -> None:
    repository = with_policy(make_repository(tmp_path, versions=(1, 2, 10)), policy)
    assert [model.version for model in repository.servable("brighten")] == served


def test_folders_that_are_no_versions_are_left_out(tmp_path: Path) -> None:
    root = make_repository(tmp_path)
    for name in ("01", "0", "-1", "latest", "1.5", "２"):
        (root / "brighten" / name).mkdir()
        (root / "brighten" / name / "model.onnx").write_bytes(b"")
    (root / "brighten" / "3").mkdir()  # without a model file
    assert [model.version for model in ModelRepository(root).servable("brighten")] == [1]


def test_no_servable_version_is_said(tmp_path: Path) -> None:
    repository = with_policy(make_repository(tmp_path), "version_policy { specific { versions: [ 9 ] } }")
    with pytest.raises(ModelNotFound, match=r"present are \[1\]"):
        repository.servable("brighten")


def test_only_folders_with_a_configuration_are_models(tmp_path: Path) -> None:
    root = make_repository(tmp_path, ("b", "a"))
    (root / "empty").mkdir()
    (root / ".hidden").mkdir()
    (root / ".hidden" / "config.pbtxt").touch()
    (root / "README.md").touch()
    assert ModelRepository(root).names() == ["a", "b"]
    assert ModelRepository(root / "missing").names() == []


def test_a_model_copied_in_is_found(tmp_path: Path) -> None:
    repository = ModelRepository(make_repository(tmp_path))
    make_repository(tmp_path, ["later"])
    assert repository.servable("later")[0].name == "later"


@pytest.mark.parametrize("file", ["/proc/self/mem", "."])
def test_a_configuration_that_cannot_be_read_is_said(tmp_path: Path, file: str) -> None:
    """An error of the disk, and a folder of that name."""
    root = make_repository(tmp_path)
    (root / "brighten/config.pbtxt").unlink()
    (root / "brighten/config.pbtxt").symlink_to(file)
    assert ModelRepository(root).names() == ["brighten"]
    with pytest.raises(ConfigError, match=r"brighten/config\.pbtxt cannot be read: I"):
        ModelRepository(root).servable("brighten")


def test_versions_that_cannot_be_looked_at_are_said(tmp_path: Path) -> None:
    root = make_repository(tmp_path, extra=f'default_model_filename: "{"x" * 300}"')
    with pytest.raises(ConfigError, match="cannot be read: File name too long"):
        ModelRepository(root).servable("brighten")


@pytest.mark.parametrize(
    "name",
    ["..", ".", "", "/etc", "../secret", "brighten/../../secret", "brighten/1", "secret\0", "..\\secret", "%2e%2e"],
)
def test_a_name_cannot_walk_out(tmp_path: Path, name: str) -> None:
    root = make_repository(tmp_path / "models")
    make_repository(tmp_path, ["secret"])
    with pytest.raises(ModelNotFound):
        ModelRepository(root).servable(name)


def test_external_data_lies_beside_its_model(tmp_path: Path) -> None:
    """A model file may be a folder, as Triton has it for weights outside the graph."""
    root = make_repository(tmp_path)
    version = root / "brighten" / "1"
    os.rename(version / "model.onnx", version / "plain")
    (version / "model.onnx").mkdir()
    os.rename(version / "plain", version / "model.onnx" / "model.onnx")
    [model] = ModelRepository(root).servable("brighten")
    assert model.path == version / "model.onnx" / "model.onnx"
