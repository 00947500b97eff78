"""Paths of the files that come with Nightlift."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).absolute().parent


def model_repository() -> Path:
    """The folder of models: in a clone beside the packages, in an installation inside this package."""
    return (_HERE / "model_repository").resolve()


def clone() -> Path | None:
    """The clone that contains this package, with training, export and benchmarks; None in an installation."""
    return _HERE.parent if (_HERE.parent / "pyproject.toml").is_file() else None
