"""The models that we ship, in both formats: TorchScript is not kept, so tests make it of the kept weights."""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path

SHIPPED = Path(__file__).resolve().parents[1] / "model_repository"
SCRIPTED = "_torchscript"


def shipped_models() -> list[str]:
    """The names of the models that are kept: all are ONNX. Variants that somebody made beside them are left out."""
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
