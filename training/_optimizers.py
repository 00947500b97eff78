"""What learns in a training, and by what: an optimiser for each player of its objective."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from training._precision import prepare_method
from training.objectives import Objective, Player
from training.recipe import OptimizerRecipe, Recipe


class Optimizers:
    """The optimisers of an objective's players.

    Attributes:
        players: what learns, by name.
    """

    def __init__(self, fabric: Fabric, recipe: Recipe, objective: Objective) -> None:
        """
        Args:
            fabric: devices and precision, launched.
            recipe: with the settings of each optimiser.
            objective: on the device that it is trained on, or on the CPU until `wrap`.

        Raises:
            ValueError: the recipe's optimisers are not the objective's players.
        """
        self.players = objective.players()
        if set(self.players) != set(recipe.optimizers):
            raise ValueError(
                f"objective {recipe.objective.name!r} needs optimizers for {', '.join(self.players)}; "
                f"the recipe has {', '.join(recipe.optimizers)}"
            )
        self._fabric = fabric
        self._recipe = recipe
        self._objective = objective
        self._optimizers: dict[str, Any] = {
            name: _optimizer(recipe.optimizers[name], player, fused=recipe.precision != "16-mixed")
            for name, player in self.players.items()
        }

    def wrap(self) -> None:
        """Let Fabric wrap each player's module, in place, and its optimisers."""
        network = self._objective.network
        modules = {id(player.module): player.module for player in self.players.values()}
        for module in modules.values():
            owned = {name: player for name, player in self.players.items() if player.module is module}
            methods = {method for player in owned.values() for method in player.methods}
            compiled = self._recipe.compile and module is network
            fast: Any = torch.compile(module, dynamic=False) if compiled and not methods else module
            wrapped, *optimizers = self._fabric.setup(fast, *(self._optimizers[name] for name in owned))
            for method in methods:
                prepare_method(self._fabric, wrapped, method, compiled)
            self._optimizers |= dict(zip(owned, optimizers, strict=True))
            places = [
                (parent, name)
                for parent in self._objective.modules()
                for name, child in parent.named_children()
                if child is module
            ]
            for parent, name in places:
                if parent is not wrapped:
                    setattr(parent, name, wrapped)

    def update(self, player: str, loss: Tensor) -> None:
        """One step of a player's optimiser (`training.objectives.Update`)."""
        optimizer = self._optimizers[player]
        optimizer.zero_grad()
        self._fabric.backward(loss)
        clip_norm = self._recipe.optimizers[player].clip_norm
        if clip_norm is not None:
            self._fabric.clip_gradients(
                self.players[player].module, optimizer, max_norm=clip_norm, error_if_nonfinite=False
            )
        optimizer.step()

    def set_rates(self, step: int, steps: int) -> dict[str, float]:
        """Set each learning rate for the step after so many of `steps`; by player."""
        rates = {}
        for name, settings in self._recipe.optimizers.items():
            rates[name] = settings.schedule.rate(settings.lr, step, steps)
            for group in self._optimizers[name].param_groups:
                group["lr"] = rates[name]
        return rates

    def state_dict(self) -> dict[str, Any]:
        """The state of each optimiser, by player."""
        return {name: optimizer.state_dict() for name, optimizer in self._optimizers.items()}

    def load_state_dict(self, states: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`."""
        for name, optimizer in self._optimizers.items():
            optimizer.load_state_dict(states[name])


def _optimizer(recipe: OptimizerRecipe, player: Player, fused: bool) -> torch.optim.Optimizer:
    """A player's optimiser; `fused` ones go over all weights in one call, and cannot clip scaled gradients."""
    parameters = list(player.parameters if player.parameters is not None else player.module.parameters())
    common: dict[str, Any] = {"lr": recipe.lr, "weight_decay": recipe.weight_decay, "fused": fused}
    if recipe.kind == "sgd":
        return torch.optim.SGD(parameters, momentum=recipe.momentum, **common)
    kind = torch.optim.AdamW if recipe.kind == "adamw" else torch.optim.Adam
    return kind(parameters, betas=recipe.betas, **common)
