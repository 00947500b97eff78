"""The records beside a model file: its origin, its agreement with torch, and its scores. All JSON, all committed."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export._config import FILES
from export._graphs import Graph
from export._parity import Parity

MANIFEST, PARITY, SCORES = "manifest.json", "parity.json", "scores.json"
VERSION = re.compile(r"[1-9][0-9]*")
FOLDER_BEFORE_NAME = re.compile(r"(?<![\w.:/])(?:\.{0,2}/)(?:[\w.+-]+/)*(?=[\w.+-])")


@dataclass(frozen=True)
class Record:
    """One exported version, read from its folder.

    Attributes:
        folder: `<repository>/<model>/<version>`.
        manifest: what was exported, from which checkpoint, trained how.
        parity: measured differences to torch.
        measured_sha256: hash of the file on which they were measured.
        scores: an evaluation as `nightlift evaluate` writes it; empty where none was attached.
    """

    folder: Path
    manifest: dict[str, Any]
    parity: Parity
    measured_sha256: str
    scores: dict[str, Any]

    @property
    def name(self) -> str:
        """The model's name."""
        return self.folder.parent.name

    @property
    def graph(self) -> Graph:
        """Which of its network's graphs it is."""
        return Graph(self.manifest.get("graph", Graph.PICTURES))

    @property
    def file(self) -> Path:
        """The model file."""
        return self.folder / FILES[self.manifest["format"]]


def read_record(folder: Path) -> Record:
    """A version folder that this package wrote.

    Raises:
        FileNotFoundError: it lacks one of its files.
    """
    scores = folder / SCORES
    parity = _read(folder / PARITY)
    return Record(
        folder,
        manifest=_read(folder / MANIFEST),
        parity=Parity.from_json(parity["differences"]),
        measured_sha256=parity["file_sha256"],
        scores=_read(scores) if scores.is_file() else {},
    )


def parity_report(file_sha256: str, parity: Parity) -> str:
    """The content of `parity.json`: every difference, bound to the file by its hash."""
    return as_json({"file_sha256": file_sha256, "differences": parity.as_json()})


def versions(model: Path) -> list[int]:
    """Version numbers in a model's folder, ascending."""
    if not model.is_dir():
        return []
    return sorted(int(entry.name) for entry in model.iterdir() if VERSION.fullmatch(entry.name))


def records(repository: Path) -> list[Record]:
    """The latest version of every model in the repository that this package wrote, by name."""
    found = []
    for config in sorted(repository.glob("*/config.pbtxt")):
        numbers = versions(config.parent)
        if numbers and (config.parent / str(numbers[-1]) / MANIFEST).is_file():
            found.append(read_record(config.parent / str(numbers[-1])))
    return found


def sha256(content: bytes) -> str:
    """Hash in 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def as_json(value: Any) -> str:
    """Readable JSON with a final newline."""
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def without_folders(value: Any) -> Any:
    """The same value with paths outside the checkout cut down to file names, since they mean nothing elsewhere."""
    if isinstance(value, dict):
        return {key: without_folders(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_folders(item) for item in value]
    return FOLDER_BEFORE_NAME.sub("", value) if isinstance(value, str) else value


def _read(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing")
    return json.loads(path.read_text(encoding="utf-8"))
