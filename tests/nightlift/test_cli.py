"""The command itself: quick help, completion, and flags that agree with the service and with training."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import get_args

import pytest

import export
import training
from nightlift import _commands as commands
from nightlift import client
from nightlift._commands import _flags
from service.enhancement import EnhanceOptions
from service.pictures import WRITTEN_FORMATS, Metadata
from service.rendering import Detail
from tests.docs.documents import ROOT
from tests.nightlift.commands import COMMAND, environment, nightlift
from tests.pictures import constant, encoded
from tests.repositories import make_repository
from tests.tensor_models import make_tensor_model
from training import data_folders

SLOW_TO_LOAD = {"numpy", "PIL", "onnxruntime", "torch", "fastapi", "pydantic", "grpc", "training", "export"}


def choices(annotated: object) -> set[object]:
    """The texts that an annotated flag allows."""
    kind = get_args(annotated)[0]
    return {text for part in (kind, *get_args(kind)) for text in get_args(part) if isinstance(text, str)}


def test_help_imports_nothing_that_is_slow_to_load() -> None:
    command = [sys.executable, "-X", "importtime", *COMMAND[1:], "--help"]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment())
    assert outcome.returncode == 0
    assert all(name in outcome.stdout for name in ("serve", "enhance", "video", "bulk", "train", "doctor"))
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in outcome.stderr.splitlines()}
    assert "nightlift" in imported
    assert not imported & SLOW_TO_LOAD


def test_flags_allow_what_the_service_allows() -> None:
    assert choices(_flags.Detail) == set(Detail)
    assert choices(_flags.Format) == {*WRITTEN_FORMATS, "jpg", "tif"}
    assert choices(_flags.Metadata) == set(Metadata)
    for command in (commands.enhance, commands.bulk):
        given = inspect.signature(command).parameters
        for name, field in EnhanceOptions.model_fields.items():
            if name != "version":
                assert given[name].default == field.default, name
    assert set(client.Options.__annotations__) == set(EnhanceOptions.model_fields)


@pytest.mark.parametrize(
    ("command", "function", "renamed"),
    [
        (
            commands.train,
            training.train,
            {"stop_after", "stopped", "progress", "keep_compact", "unfinished", "trainer_type"},
        ),
        (commands.export, export.export_checkpoint, {"checkpoint", "repository", "formats", "options"}),
        (
            commands.evaluate,
            training.evaluate,
            {"details", "repository", "output_gamma", "with_niqe", "niqe_parameters", "on_row"},
        ),
    ],
)
def test_flags_cover_what_the_functions_take(command: object, function: object, renamed: set[str]) -> None:
    flags = set(inspect.signature(command).parameters)  # type: ignore[arg-type]
    assert set(inspect.signature(function).parameters) - renamed <= flags  # type: ignore[arg-type]


def test_data_is_one_folder_or_one_for_each_stream(tmp_path: Path) -> None:
    assert data_folders(["data/LOLv1"]) == Path("data/LOLv1")
    assert data_folders(["a=x", "b=y"]) == {"a": Path("x"), "b": Path("y")}
    assert data_folders(["a=x"]) == {"a": Path("x")}
    (tmp_path / "odd=name").mkdir()
    assert data_folders([str(tmp_path / "odd=name")]) == tmp_path / "odd=name"
    with pytest.raises(ValueError, match="STREAM=FOLDER"):
        data_folders(["x", "y"])


def test_models_and_doctor_look_at_the_repository(tmp_path: Path) -> None:
    repository = make_repository(tmp_path)
    listed = nightlift("models", repository=repository)
    assert listed.returncode == 0
    assert "brighten (default)" in listed.stdout.decode()
    found = nightlift("doctor", repository=repository)
    assert found.returncode == 0, found.stdout.decode()
    lines = found.stdout.decode().splitlines()
    assert lines[0].startswith("Ready to serve: no errors")
    assert any("model brighten: version 1 runs on cpu" in line for line in lines)
    (repository / "brighten/1/model.onnx").write_bytes(b"no model")
    broken = nightlift("doctor", repository=repository)
    assert broken.returncode == 1
    assert broken.stdout.decode().startswith("1 error (model brighten)")


def test_shells_complete_subcommands() -> None:
    asked = environment(_NIGHTLIFT_COMPLETE="complete_bash", COMP_WORDS="nightlift enh", COMP_CWORD="1")
    script = "import sys; sys.argv = ['nightlift']; from nightlift.cli import main; main()"
    outcome = subprocess.run([sys.executable, "-c", script], env=asked, capture_output=True, text=True, check=False)
    assert outcome.stdout.split() == ["enhance"]


def test_shells_complete_names_of_models(tmp_path: Path) -> None:
    repository = make_repository(tmp_path, ("brighten", "bright", "other"))
    words = {"COMP_WORDS": "nightlift enhance a.jpg --model bri", "COMP_CWORD": "4"}
    asked = environment(repository, _NIGHTLIFT_COMPLETE="complete_bash", **words)
    script = "import sys; sys.argv = ['nightlift']; from nightlift.cli import main; main()"
    outcome = subprocess.run([sys.executable, "-c", script], env=asked, capture_output=True, text=True, check=False)
    assert outcome.stdout.split() == ["bright", "brighten"]


def test_the_version_is_that_of_the_package() -> None:
    outcome = nightlift("--version")
    assert outcome.stdout.decode().split() == ["nightlift", metadata.version("nightlift")]


def test_models_are_listed_whole_and_for_programs(tmp_path: Path) -> None:
    name = "a_model_whose_name_is_longer_than_most_terminals_leave_for_it_in_a_table_of_eight_columns"
    repository = make_tensor_model(make_repository(tmp_path, ("brighten", name)), "mapper")
    listed = nightlift("models", env=environment(repository, COLUMNS="40"))
    assert name in listed.stdout.decode()
    assert "mapper (takes no pictures)" in listed.stdout.decode()
    assert "…" not in listed.stdout.decode()
    models = json.loads(nightlift("models", "--json", repository=repository).stdout)
    assert [(model["name"], model["default"], model["takes_pictures"]) for model in models] == [
        (name, False, True),
        ("brighten", True, True),
        ("mapper", False, False),
    ]
    report = json.loads(nightlift("doctor", "--json", repository=repository).stdout)
    assert report["verdict"].startswith("Ready to serve")
    assert {finding["level"] for finding in report["findings"]} <= {"ok", "note"}


@pytest.mark.parametrize(
    ("words", "more", "said"),
    [
        (("models",), {"NIGHTLIFT_PORT": "many"}, "nightlift: NIGHTLIFT_PORT: Input should be a valid integer"),
        (("models",), {"NIGHTLIFT_METRICS_OPEN": "no"}, "nightlift: NIGHTLIFT_METRICS_OPEN=false needs"),
        (("enhance", "a.png", "-o", "a.png/b"), {}, "failed a.png: a.png/b: Not a directory"),
        (("enhance", "a.png", "--model", "broken"), {}, "nightlift: model 'broken' is unavailable"),
    ],
)
def test_people_see_no_tracebacks(words: tuple, more: dict, said: str, tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "models", ("brighten", "broken"))
    (repository / "broken/1/model.onnx").write_bytes(b"no model")
    (tmp_path / "a.png").write_bytes(encoded(constant(40)))
    outcome = nightlift(*words, env=environment(repository, **more), cwd=tmp_path)
    report = outcome.stderr.decode()
    assert outcome.returncode in (1, 2)
    assert "Traceback" not in report
    assert said in report, report


def test_an_error_that_nobody_expected_is_one_line_and_shows_more_on_demand(tmp_path: Path) -> None:
    script = (
        "import sys; from nightlift import cli\n"
        "def broken(): raise RuntimeError('first line\\nsecond line')\n"
        "cli.app = broken; cli.main()"
    )
    for more, lines in (({}, 1), ({"NIGHTLIFT_TRACEBACK": "1"}, 5)):
        command = [sys.executable, "-c", script]
        outcome = subprocess.run(command, env=environment(**more), capture_output=True, text=True, check=False)
        assert outcome.returncode in (1, 2)
        assert "RuntimeError: first line" in outcome.stderr
        assert len(outcome.stderr.splitlines()) >= lines
        assert ("Traceback" in outcome.stderr) == (lines > 1)


def test_a_repository_without_models_is_named(tmp_path: Path) -> None:
    outcome = nightlift("models", "--model-repository", "nowhere", cwd=tmp_path)
    assert outcome.returncode == 2
    assert "no models found in nowhere" in outcome.stderr.decode()


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    outcome = nightlift("train", "no_such_recipe", "--data", tmp_path)
    assert outcome.returncode == 2
    message = outcome.stderr.decode()
    assert message.startswith("nightlift: there is no recipe no_such_recipe")
    assert "Traceback" not in message


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        ("bench", "benchmarks"),
        ("train zero_dce --data x", "training"),
        ("evaluate zero_dce --data x", "training"),
        ("export best.pt", "export"),
    ],
)
def test_what_the_images_leave_out_is_said_in_one_line(words: str, missing: str, tmp_path: Path) -> None:
    """As in an image: with what the Dockerfile copies, and no more."""
    for package in ("nightlift", "service"):
        (tmp_path / package).symlink_to(ROOT / package)
    for package in ("training", "export"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").symlink_to(ROOT / package / "__init__.py")
    # Without what makes `pip install -e` find the rest.
    script = "import sys; sys.meta_path = [finder for finder in sys.meta_path if 'Editable' not in str(finder)]"
    command = [sys.executable, "-c", f"{script}; from nightlift.cli import main; main()", *words.split()]
    outcome = subprocess.run(command, env=environment(), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert outcome.returncode == 2, outcome.stderr
    assert f"needs a clone of the repository: wheels and images do not include {missing}" in outcome.stderr
    assert outcome.stderr.count("\n") == 1


@pytest.mark.parametrize("flag", ["--layout=lolv1", "--holdout=0.1", "--seed=1", "--niqe", "--no-plain"])
def test_flags_that_mean_nothing_to_a_detector_are_refused(flag: str) -> None:
    refused = nightlift("evaluate", "zero_dce", "--data", "x", "--detector", "detector.onnx", flag)
    assert refused.returncode == 2
    message = " ".join(refused.stderr.decode().split())
    assert flag.partition("=")[0] in message
    assert "it has no effect with --detector" in message


@pytest.mark.parametrize("word", ["smoothing", "smoothing=much", "=1 2"])
def test_network_options_are_names_and_values(word: str, tmp_path: Path) -> None:
    refused = nightlift("export", tmp_path / "best.pt", "--option", word)
    assert refused.returncode == 2
    assert "is not NAME=VALUE" in refused.stderr.decode()


def test_published_weights_keep_their_options(tmp_path: Path) -> None:
    refused = nightlift("export", tmp_path / "best.pth", "--from-official", "--option", "smoothing=0.5")
    assert refused.returncode == 2
    assert "published weights keep the options" in refused.stderr.decode()
