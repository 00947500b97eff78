"""Every call of `nightlift` in the documents parses; what needs a service, a photo or a video at most is run."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer

from nightlift.cli import app
from tests.docs.documents import DOCUMENTS, ROOT, blocks
from tests.docs.ledger import DOCUMENTED as COMMANDS
from tests.docs.ledger import Runner, commands_of
from tests.pictures import dark_scene, decoded, encoded
from tests.repositories import make_repository
from tests.servers import Server, serving

NAMES = typer.main.get_command(app)


def nightlift_calls() -> list[tuple[str, list[str]]]:
    """(document, words after `nightlift`) of every call."""
    found = []
    for document, line in COMMANDS:
        words = shlex.split(re.sub(r"[<>]\s*\S+|\|.*", "", line))
        while words and "=" in words[0]:
            words = words[1:]
        if words and words[0] == "nightlift":
            found.append((document, words[1:]))
    return found


def options(command: click.Command) -> set[str]:
    return {name for option in command.params for name in (*option.opts, *option.secondary_opts)} | {"--help"}


def test_there_are_commands() -> None:
    assert len(nightlift_calls()) > 20
    assert {"README.md", "command_line.md", "training.md"} <= {document for document, _ in nightlift_calls()}


@pytest.mark.parametrize(("document", "words"), nightlift_calls(), ids=lambda value: str(value)[:60])
def test_calls_of_nightlift_parse(document: str, words: list[str]) -> None:
    """Click itself parses them: subcommands, flags, types, ranges, choices."""
    if words[0].startswith("--"):
        return
    command = NAMES.get_command(click.Context(NAMES), words[0])
    assert command is not None, f"there is no `nightlift {words[0]}`"
    command.make_context(words[0], words[1:])
    if words[0] == "train":
        assert (
            words[1].endswith(".yaml") or words[1] == "glow" or (ROOT / f"training/recipes/{words[1]}.yaml").exists()
        )


def test_targets_of_make_and_modules_are_there() -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for document, line in COMMANDS:
        words = line.split()
        if words[0] == "make":
            assert words[1] in targets, f"{document}: {line}"
        if words[:2] == ["python", "-m"] and words[2] != "pytest":
            module = ROOT / words[2].replace(".", "/")
            assert module.with_suffix(".py").exists() or (module / "__main__.py").exists(), f"{document}: {line}"


def test_helps_show_an_example_that_parses() -> None:
    for name in NAMES.list_commands(click.Context(NAMES)):
        command = NAMES.get_command(click.Context(NAMES), name)
        assert command is not None
        example = re.search(r"Example: `nightlift (.+)`", command.help or "")
        assert example, f"`nightlift {name} --help` shows no example"
        words = shlex.split(example[1])
        assert words[0] == name
        command.make_context(name, words[1:])


def test_links_between_documents_lead_somewhere() -> None:
    for path in DOCUMENTS:
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name} links to {target}, which is not there"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    names = ("brighten", "zero_dce", "zero_dce_improved")
    with serving(make_repository(folder / "models", names), folder, default_model="brighten") as running:
        yield running


@pytest.fixture
def workplace(tmp_path: Path, server: Server) -> Path:
    """A folder with the files that the documents' commands name."""
    photo = encoded(dark_scene(size=(64, 96)), "jpeg")
    (tmp_path / "photos/holiday").mkdir(parents=True)
    for name in ("photo.jpg", "dark.jpg", "photos/one.jpg", "photos/holiday/two.jpg"):
        (tmp_path / name).write_bytes(photo)
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, words in (("nightlift", "-m nightlift.cli"), ("python", "")):
        (tools / name).write_text(f'#!/bin/sh\nexec {sys.executable} {words} "$@"\n')
        (tools / name).chmod(0o755)
    return tmp_path


def make_clip(path: Path) -> None:
    """A video of ten dark frames."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    words = [
        "ffmpeg",
        "-v",
        "error",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-s",
        "96x64",
        "-r",
        "10",
        "-i",
        "-",
        path,
    ]
    subprocess.run(words, input=10 * dark_scene(size=(64, 96)).tobytes(), check=True)


def run(text: str, workplace: Path, server: Server) -> subprocess.CompletedProcess[str]:
    """Run shell or Python text as a reader would, with the test's server in place of the one on port 8000."""
    text = re.sub(r"(?<![\w.])(localhost|127\.0\.0\.1):8000", f"127.0.0.1:{server.port}", text)
    text = re.sub(r"(?<![\w.])(localhost|127\.0\.0\.1):8001", f"127.0.0.1:{server.grpc_port}", text)
    environment = os.environ | {
        "PATH": f"{workplace / 'tools'}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "NIGHTLIFT_MODEL_REPOSITORY": str(server.log.parent / "models"),
        "NIGHTLIFT_DEFAULT_MODEL": "brighten",
        "NIGHTLIFT_CPU_THREADS": "1",
    }
    words = (
        [sys.executable, "-c", text]
        if text.startswith(("import ", "from "))
        else ["bash", "-euo", "pipefail", "-c", text]
    )
    return subprocess.run(words, cwd=workplace, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("line", commands_of(Runner.SERVICE), ids=lambda value: str(value)[:60])
def test_commands_run_beside_a_service(line: str, workplace: Path, server: Server) -> None:
    if "nightlift video" in line:
        make_clip(workplace / "night.mp4")
    outcome = run(line, workplace, server)
    assert outcome.returncode == 0, outcome.stderr
    for name in re.findall(r"(?:\.\./)?\bbright\S*", line):
        result = workplace / name
        if result.suffix in {".mp4", ".mkv"}:
            assert result.stat().st_size > 1000
            continue
        files = [result] if result.is_file() else sorted(result.rglob("[!.]*.*"))
        assert files
        assert all(decoded(file.read_bytes()).mean() > 20 for file in files)


PYTHON = [
    (path.name, block.text)
    for path in DOCUMENTS
    if path.name in {"README.md", "api.md"}
    for block in blocks(path)
    if block.language == "python"
]


@pytest.mark.parametrize(("document", "text"), PYTHON, ids=lambda value: str(value)[:40])
def test_python_examples_run(document: str, text: str, workplace: Path, server: Server) -> None:
    outcome = run(text, workplace, server)
    assert outcome.returncode == 0, outcome.stderr
    assert list(workplace.glob("*bright*"))
