"""The content of `run.json`: everything that is needed to repeat a training."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from training.datasets import Sample

LIBRARIES = ("torch", "lightning-fabric", "numpy", "pillow", "pydantic")


def command_line(recipe: str, data: Mapping[str, Path], options: Mapping[str, Any]) -> str:
    """The `nightlift train` command that repeats a training.

    Args:
        recipe: name or file of the recipe.
        data: folder by stream; where all are the same, the stream is not named.
        options: further options by name; those that are None are left out.
    """
    words = ["nightlift", "train", recipe]
    folders = {str(folder) for folder in data.values()}
    if len(folders) == 1:
        words += ["--data", folders.pop()]
    else:
        for stream, folder in data.items():
            words += ["--data", f"{stream}={folder}"]
    for name, value in options.items():
        if value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words)


def describe_samples(folder: Path, kept: Sequence[Sample], held_out: Sequence[Sample]) -> dict[str, Any]:
    """The samples of a stream: folder, counts, and a digest over the files' names.

    Not over their bytes: computed pictures, such as fusions, differ by a code value between processors.
    """
    digest = hashlib.sha256()
    for sample in [*kept, *held_out]:
        for field, path in sorted(sample.files.items()):
            digest.update(f"{field}/{path.name}\n".encode())
    return {
        "folder": str(folder),
        "samples": len(kept),
        "held_out": len(held_out),
        "digest": digest.hexdigest()[:16],
    }


def describe_machine(device: torch.device, devices: int) -> dict[str, Any]:
    """Hardware and libraries of this run."""
    accelerator = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "device": f"{devices} x {accelerator}" if accelerator else "cpu",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in LIBRARIES},
    }


def git_revision() -> str | None:
    """The checked-out commit of this code, with `+changes` if tracked files differ; None outside a checkout."""
    here = Path(__file__).parent
    try:
        revision = _git("rev-parse", "HEAD", folder=here)
        changes = _git("status", "--porcelain", "--untracked-files=no", "--", str(here), folder=here)
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{revision}+changes" if changes else revision


def _git(*words: str, folder: Path) -> str:
    result = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True)
    return result.stdout.strip()


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    """The processor's name as Linux tells it, else what Python knows."""
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
