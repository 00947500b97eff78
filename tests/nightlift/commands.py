"""The real `nightlift` command in a process of its own, over a repository that a test made."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-m", "nightlift.cli")


def environment(repository: Path | None = None, model: str = "brighten", **more: str) -> dict[str, str]:
    """Variables for a command whose default model is `model` of `repository`."""
    given = {"NIGHTLIFT_DEFAULT_MODEL": model, "NIGHTLIFT_CPU_THREADS": "1", "COLUMNS": "200", "TERM": "dumb"}
    if repository is not None:
        given["NIGHTLIFT_MODEL_REPOSITORY"] = str(repository)
    return os.environ | given | more


def nightlift(
    *words: str | Path, repository: Path | None = None, stdin: bytes | None = None, **more: Any
) -> subprocess.CompletedProcess[bytes]:
    """Run `nightlift` to its end; `more` goes to `subprocess.run`."""
    more.setdefault("env", environment(repository))
    return subprocess.run([*COMMAND, *map(str, words)], input=stdin, capture_output=True, timeout=120, **more)
