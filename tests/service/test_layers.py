"""Imports run one way, from who is called to who is called by it: no part of the service knows what lies above it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import service

ROOT = Path(service.__file__).parent
LAYERS = (
    {"concurrency", "limits", "locations", "memory", "page", "file_watcher"},
    {"contract"},
    {"errors", "settings"},
    {"cores", "telemetry", "tls", "repository"},
    {"admission", "pictures"},
    {"inference", "rendering"},
    {"network", "restoring"},
    {"enhancement"},
    {"pipeline"},
    {"runtime"},
    {"protocol", "doctor"},
    {"http", "rpc"},
    {"server"},
)
"""Lowest first; parts of one layer do not know each other."""


def imports() -> Iterator[tuple[str, str, str]]:
    """(File, its part of the service, the part that it imports)."""
    for path in ROOT.rglob("*.py"):
        inside = path.relative_to(ROOT).with_suffix("").parts
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module] if node.module != "service" else [f"service.{name.name}" for name in node.names]
            elif isinstance(node, ast.Import):
                names = [name.name for name in node.names]
            else:
                continue
            for name in names:
                if name.startswith("service.") and name.split(".")[1] != inside[0]:
                    yield str(path.relative_to(ROOT)), inside[0], name.split(".")[1]


def test_no_import_runs_upward() -> None:
    layer = {part: number for number, parts in enumerate(LAYERS) for part in parts}
    upward = [one for one in imports() if layer[one[1]] <= layer[one[2]]]
    assert not upward


def test_nobody_looks_behind_anothers_door() -> None:
    """Modules whose names begin with an underscore belong to their package."""
    seen = []
    for path in ROOT.rglob("*.py"):
        package = path.relative_to(ROOT).parts[0]
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("service."):
                parts = (node.module or "").split(".")
                if any(part.startswith("_") for part in parts) and parts[1] != package:
                    seen.append((str(path), node.module))
    assert not seen
