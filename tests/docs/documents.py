"""Fenced blocks of the documents."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = tuple(
    sorted(
        path
        for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docker/**/*.md"))
        if path.name != "CHANGELOG.md"
    )
)
BLOCK = re.compile(r"^( *)```(?P<language>\w*)(?P<more>[^\n]*)\n(?P<text>.*?)^\1```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: `file` is set where the fence says ```python file=PATH."""

    document: str
    language: str
    text: str
    file: str | None


def blocks(path: Path) -> list[Block]:
    """The fenced blocks of a document, in order."""
    found = []
    for match in BLOCK.finditer(path.read_text(encoding="utf-8")):
        name = re.search(r"file=(\S+)", match["more"])
        found.append(Block(path.name, match["language"], match["text"], name and name[1]))
    return found


def commands(path: Path) -> list[str]:
    """The shell commands of a document, continuation lines joined, comments left out."""
    lines = []
    for block in blocks(path):
        if block.language == "sh":
            text = block.text.replace("\\\n", " ")
            lines += [re.sub(r"\s+#\s.*$", "", line).strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]
