"""Where what comes with Nightlift lies: in a clone beside the packages, in an installation inside of this one."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).resolve().parent


def model_repository() -> Path:
    """The folder of models that Nightlift comes with."""
    installed = _HERE / "model_repository"
    return installed if installed.is_dir() else _HERE.parent / "model_repository"
