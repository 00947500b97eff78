"""The models that we ship, in both formats: TorchScript is not kept, so tests make it of the kept weights."""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path

from service.repository import read_config

SHIPPED = Path(__file__).resolve().parents[1] / "model_repository"
SCRIPTED = "_torchscript"


def shipped_models() -> list[str]:
    """The names of the models of pictures that are kept: all are ONNX. Variants that somebody made are left out."""
    return [name for name in _kept() if read_config(SHIPPED / name).takes_pictures]


def shipped_map_models() -> list[str]:
    """The names of those that make others' maps."""
    return [name for name in _kept() if not read_config(SHIPPED / name).takes_pictures]


def _kept() -> list[str]:
    names = sorted(config.parent.name for config in SHIPPED.glob("*/config.pbtxt"))
    return [name for name in names if not name.endswith(SCRIPTED)]


def make_both_formats(folder: Path) -> Path:
    """A copy of the shipped repository with the TorchScript variant of every model, unless it was made already.

    Tests run in several processes: one makes it, the others wait.
    """
    from export import make_torchscript  # brings torch, which most tests do without

    repository, done = folder / "models", folder / "complete"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.copytree(SHIPPED, repository, ignore=shutil.ignore_patterns(f"*{SCRIPTED}"))
            make_torchscript(repository, full_size=False)
            done.touch()
    return repository
