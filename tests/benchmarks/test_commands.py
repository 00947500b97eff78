"""The commands of docs/benchmarks.md are understood; to run them takes minutes each, and a machine for them alone."""

from __future__ import annotations

import re
import shlex

import pytest

from benchmarks import serving
from benchmarks.peers import __main__ as peers
from tests.docs.documents import ROOT, blocks

DOCUMENT = ROOT / "docs" / "benchmarks.md"
PARSERS = {"benchmarks.serving": serving.parser(), "benchmarks.peers": peers.parser()}
LINES = [line for block in blocks(DOCUMENT) for line in block.text.splitlines() if line.startswith("python -m")]


@pytest.mark.parametrize("line", LINES)
def test_a_command_parses(line: str) -> None:
    words = shlex.split(line, comments=True)
    PARSERS[words[2]].parse_args(words[3:])


def test_every_part_has_its_place_in_the_document() -> None:
    places = re.findall(r"<!-- measured: (.+) -->", DOCUMENT.read_text(encoding="utf-8"))
    parts = [f"serving {name}" for name in serving.PARTS] + [f"peers {name}" for name in peers.PARTS]
    assert sorted(places) == sorted(parts)
