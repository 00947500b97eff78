"""Training procedures: one file each, a class with a readable `step`.

To add one, write a subclass of `Objective` with its `Settings`, decorate it with `register_objective`, and import
its file here.
"""

# Importing an objective's file registers it.
from training.objectives import ded_net, drbn, drgn, exdnet, nightlift, restorer, zero_reference
from training.objectives._base import (
    Batch,
    Objective,
    Player,
    Settings,
    Update,
    create_objective,
    frozen,
    objective_settings,
    register_objective,
    without_resources,
)
from training.objectives._paired_scores import paired_scores

__all__ = [
    "Batch",
    "Objective",
    "Player",
    "Settings",
    "Update",
    "create_objective",
    "ded_net",
    "drbn",
    "drgn",
    "exdnet",
    "frozen",
    "nightlift",
    "objective_settings",
    "paired_scores",
    "register_objective",
    "restorer",
    "without_resources",
    "zero_reference",
]
