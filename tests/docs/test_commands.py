"""Every command in the documents: each subcommand and flag exists, each file is there, and the quick ones are run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer

from nightlift.cli import app
from tests.docs.documents import DOCUMENTS, ROOT, blocks, commands
from tests.pictures import dark_scene, decoded, encoded
from tests.repositories import make_repository
from tests.servers import Server, serving

COMMANDS = [(path.name, line) for path in DOCUMENTS for line in commands(path)]
NAMES = typer.main.get_command(app)
TRAINED = re.compile(r"nightlift train (\S+)")

# First words that documents may use beside `nightlift`.
KNOWN = frozenset(
    {"apt-get", "cd", "curl", "docker", "git", "grpcurl", "kubectl", "make", "pip", "python", "sed", "tensorboard"}
)


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


@pytest.mark.parametrize(("document", "line"), COMMANDS, ids=lambda value: str(value)[:60])
def test_other_commands_are_of_known_kinds(document: str, line: str) -> None:
    words = [word for word in shlex.split(line) if "=" not in word or word.startswith("-")]
    assert words[0] in KNOWN | {"nightlift"}
    if words[0] == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert all(word in targets for word in words[1:] if not word.startswith("-"))
    if words[:2] == ["python", "-m"] and words[2] != "pytest":
        assert (ROOT / f"{words[2].replace('.', '/')}.py").exists()


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
            if not (path.parent / target).exists():
                assert target.endswith("before_after.jpg"), f"{path.name} links to {target}, which is not there"


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
    for name in ("photo.jpg", "photos/one.jpg", "photos/holiday/two.jpg"):
        (tmp_path / name).write_bytes(photo)
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "nightlift").write_text(f'#!/bin/sh\nexec {sys.executable} -m nightlift.cli "$@"\n')
    (tools / "nightlift").chmod(0o755)
    return tmp_path


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
    words = [sys.executable, "-c", text] if "import " in text else ["bash", "-euo", "pipefail", "-c", text]
    return subprocess.run(words, cwd=workplace, env=environment, capture_output=True, text=True, timeout=120)


def is_quick(line: str) -> bool:
    """Whether a command does its work on the test's own files and ends by itself."""
    photo = line.startswith("curl") and "photo.jpg" in line
    return photo or (re.match(r"nightlift (models|enhance (photo|-))", line) is not None and "--watch" not in line)


# The same command in two documents is run once.
QUICK = sorted({line: document for document, line in COMMANDS if is_quick(line)}.items())


@pytest.mark.parametrize(("line", "document"), QUICK, ids=lambda value: str(value)[:60])
def test_quick_commands_run(line: str, document: str, workplace: Path, server: Server) -> None:
    outcome = run(line, workplace, server)
    assert outcome.returncode == 0, outcome.stderr
    for name in re.findall(r"(?:-o|>) (bright\S*)", line):
        result = workplace / name
        files = [result] if result.is_file() else sorted(result.rglob("*.*"))
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
