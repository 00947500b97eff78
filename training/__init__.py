"""Training: networks, losses, data sets, recipes, the loop, and evaluation.

The door is `train` and `evaluate`; `training.networks` has one of its own, which export uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training._journal import read_curve
    from training._train import data_folders, train
    from training.evaluation import evaluate
    from training.recipe import load_recipe, recipe_names
    from training.trainer import TrainingResult

__all__ = ["TrainingResult", "data_folders", "evaluate", "load_recipe", "read_curve", "recipe_names", "train"]

_HOMES = {
    "TrainingResult": "training.trainer",
    "data_folders": "training._train",
    "evaluate": "training.evaluation",
    "load_recipe": "training.recipe",
    "read_curve": "training._journal",
    "recipe_names": "training.recipe",
    "train": "training._train",
}


def __getattr__(name: str) -> Any:
    """Import the loop and its libraries only when asked: export needs the networks alone."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
