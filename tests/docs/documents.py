"""Fenced blocks of the documents."""

from __future__ import annotations

import re
import shlex
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
    """The shell commands of a document, one with all its lines each; comments are left out."""
    found = []
    for block in blocks(path):
        if block.language == "sh":
            pending = ""
            for line in block.text.splitlines():
                pending += re.sub(r"\s+#\s.*$", "", line).rstrip() + "\n"
                if _is_complete(pending):
                    found.append(pending.strip())
                    pending = ""
            assert not pending, f"{path.name}: a command without an end: {pending}"
    return [command for command in found if command and not command.startswith("#")]


def _is_complete(text: str) -> bool:
    """Whether a shell would run this, and not ask for another line."""
    if text.rstrip().endswith(("\\", "|", "&&")):
        return False
    try:
        shlex.split(text)
    except ValueError:  # a quotation is still open
        return False
    return True
