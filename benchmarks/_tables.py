"""Markdown tables, a description of the machine, and replacing a section of a document."""

from __future__ import annotations

import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import onnxruntime as ort

from service.settings import available_cores

ROOT = Path(__file__).resolve().parent.parent
CPU_FACTS = Path("/proc/cpuinfo")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; columns in which every cell begins with a number are aligned to the right.

    Raises:
        ValueError: if a row has more or fewer cells than there are columns.
    """
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"a row of {len(row)} cells under {len(columns)} columns: {row}")
    numeric = [
        bool(rows) and all(re.match(r"\*{0,2}[-+]?\d", row[place]) for row in rows) for place in range(len(columns))
    ]
    rule = ["---:" if right else "---" for right in numeric]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (columns, rule, *rows))


def machine(packages: Mapping[str, str] | None = None) -> str:
    """One sentence: processor, cores, versions, git revision and date; `packages` adds versions by name."""
    named = {"Python": platform.python_version(), "ONNX Runtime": ort.__version__, **(packages or {})}
    versions = ", ".join(f"{name} {version}" for name, version in named.items())
    day = datetime.now(UTC).date().isoformat()
    return f"{_processor()}, {available_cores()} cores; {versions}; revision {_revision()}; {day}."


def write_section(document: Path, name: str, text: str) -> None:
    """Replace the text between `<!-- measured: NAME -->` and `<!-- end -->` in a document.

    Raises:
        ValueError: if the document has no such section, or several.
    """
    place = re.compile(rf"(<!-- measured: {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
    before = document.read_text(encoding="utf-8")
    after, count = place.subn(lambda match: f"{match[1]}{text.strip()}\n{match[2]}", before)
    if count != 1:
        raise ValueError(f"{document.name} has {count} places for {name!r}; one is needed")
    document.write_text(after, encoding="utf-8")


def _processor() -> str:
    if CPU_FACTS.is_file():
        named = re.search(r"^model name\s*:\s*(.+)$", CPU_FACTS.read_text(encoding="utf-8"), re.MULTILINE)
        if named:
            return named[1]
    return platform.processor() or platform.machine()


def _revision() -> str:
    asked = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or "unknown"
