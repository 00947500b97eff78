"""Training: networks, losses, data sets, recipes, the loop, and evaluation.

The interface is `train` and `evaluate`; `training.networks` has a separate one, which export uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training._compact_state import MAX_UNFINISHED_BYTES, UNFINISHED
    from training._journal import read_curve
    from training._memory import keep_freed_memory
    from training._queue import parse_duration, work_through
    from training._train import data_folders, train
    from training.evaluation import evaluate
    from training.recipe import load_recipe, recipe_names
    from training.trainer import TrainingResult

__all__ = [
    "MAX_UNFINISHED_BYTES",
    "UNFINISHED",
    "TrainingResult",
    "data_folders",
    "evaluate",
    "keep_freed_memory",
    "load_recipe",
    "parse_duration",
    "read_curve",
    "recipe_names",
    "train",
    "work_through",
]

_HOMES = {
    "MAX_UNFINISHED_BYTES": "training._compact_state",
    "UNFINISHED": "training._compact_state",
    "TrainingResult": "training.trainer",
    "data_folders": "training._train",
    "evaluate": "training.evaluation",
    "keep_freed_memory": "training._memory",
    "load_recipe": "training.recipe",
    "parse_duration": "training._queue",
    "read_curve": "training._journal",
    "recipe_names": "training.recipe",
    "train": "training._train",
    "work_through": "training._queue",
}


def __getattr__(name: str) -> Any:
    """Import the loop and its libraries only on use: export needs the networks alone."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
