"""The interface of training procedures: their players, and one step on a batch.

An `Objective` holds everything that a procedure needs: the network under training, discriminators, frozen teachers,
loss networks, running values. It names its `players` (modules that are optimised, each by its own optimiser), and its
`step` is the procedure in readable form: compute losses, and pass each player its loss.

    class Adversarial(Objective):
        def __init__(self, network, settings, resources):
            super().__init__(network)
            self.discriminator = PatchDiscriminator()

        def players(self):
            return {"network": Player(self.network), "discriminator": Player(self.discriminator)}

        def step(self, batch, update):
            fake = self.network(batch["low"])
            judgement = lsgan(self.discriminator(batch["high"]), self.discriminator(fake.detach()))
            update("discriminator", judgement)
            with frozen(self.discriminator):
                loss = charbonnier(fake, batch["high"]) + 0.01 * deceive(self.discriminator(fake))
                update("network", loss)
            return {"loss": loss, "judgement": judgement}

The trainer does the rest: devices, precision, optimisers, schedules, clipping, averaging, checkpoints. Everything
that is a module or buffer of the objective is checkpointed with it. Random numbers in a step come from torch's
global generator, which the trainer reseeds for every step, so that a resumed run repeats exactly.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from training.networks import pad_to_multiple

Batch = Mapping[str, Tensor]
"""Pictures by name, float [N, 3, H, W] in [0, 1]: `image`, or `low` and `high`, and whatever the recipe adds."""


class Update(Protocol):
    """One optimiser's step, by the trainer: clear gradients, run the backward pass, clip, and update the player."""

    def __call__(self, player: str, loss: Tensor) -> None: ...


@dataclass(frozen=True)
class Player:
    """A module with its own optimiser.

    Attributes:
        module: the module whose parameters are optimised.
        parameters: the parameters to optimise, if the rest of the module is frozen; None: all of them.
        methods: methods of the module, beside `forward`, that a step calls (they need the trainer's precision
            and, on several devices, its gradient exchange).
    """

    module: nn.Module
    parameters: Sequence[nn.Parameter] | None = None
    methods: tuple[str, ...] = ()


class Settings(BaseModel):
    """Base of an objective's settings in a recipe: unknown names are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Objective(nn.Module, ABC):
    """One training procedure.

    Attributes:
        network: the network that is trained and exported; also the player of that name.
        multiple: what both sides of the network's input must be multiples of, in pixels.
        notes: notes about this run for the user, for the log and the manifest ("the perceptual term is left out,
            because no VGG16 weights were given").
    """

    network: Any  # a module; procedures may call methods of it beside forward
    multiple = 1

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.notes: list[str] = []

    def players(self) -> dict[str, Player]:
        """What learns, by name; the recipe gives an optimiser for each. By default the network alone."""
        return {"network": Player(self.network)}

    @abstractmethod
    def step(self, batch: Batch, update: Update) -> dict[str, Tensor]:
        """One training step: compute losses, call `update` for each player, and return what to log.

        Returns:
            Scalars by name; `loss` is the main one.
        """

    @torch.no_grad()
    def validate(self, batch: Batch) -> dict[str, Tensor]:
        """Scores of the network on a held-out batch: scalars by name, averaged over batches; none by default."""
        return {}

    @torch.no_grad()
    def preview(self, batch: Batch) -> dict[str, Tensor]:
        """Pictures for the log, float [N, 3, H, W] in [0, 1] by name: the inputs and the network's results."""
        pictures = {name: image for name, image in batch.items() if name in ("image", "low", "high")}
        source = batch["image"] if "image" in batch else batch["low"]
        return pictures | {"enhanced": self.enhanced(source).clamp(0, 1)}

    def enhanced(self, image: Tensor) -> Tensor:
        """The network's result for pictures of any size, [N, 3, H, W] in [0, 1] -> the same shape, not clamped."""
        padded, (height, width) = pad_to_multiple(image, self.multiple)
        return self.network(padded)[:, :, :height, :width]

    def start_from(self, checkpoint: Mapping[str, Any]) -> None:
        """Begin with the weights of an earlier training, or of an earlier stage.

        Args:
            checkpoint: `{"network", "options", "state_dict", ...}` as training writes it.

        Raises:
            ValueError: the checkpoint does not fit the network.
        """
        try:
            self.network.load_state_dict(checkpoint["state_dict"])
        except RuntimeError as error:
            name = checkpoint.get("network")
            raise ValueError(f"the checkpoint of {name!r} cannot start this training: {error}") from error


def without_resources(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """An objective's state without the loss network's weights, which come from the user's file."""
    return {name: value for name, value in state.items() if not name.startswith("vgg.")}


@contextmanager
def frozen(*modules: nn.Module) -> Iterator[None]:
    """Within the block, gradients flow through the modules but not into their parameters."""
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


ObjectiveBuilder = Callable[[nn.Module, Any, Mapping[str, Path]], Objective]
_OBJECTIVES: dict[str, tuple[type[Settings], ObjectiveBuilder]] = {}
Builder = TypeVar("Builder", bound=ObjectiveBuilder)


def register_objective(name: str, settings: type[Settings]) -> Callable[[Builder], Builder]:
    """Register the decorated class, so that recipes can choose it.

    The class is built as `cls(network, settings, resources)`: the network under training, its checked settings,
    and files that the user gave by name (`vgg16`: weights of the perceptual losses), of which any may be missing.

    Raises:
        ValueError: the name is taken.
    """

    def remember(builder: Builder) -> Builder:
        if name in _OBJECTIVES:
            raise ValueError(f"two objectives are called {name!r}")
        _OBJECTIVES[name] = (settings, builder)
        return builder

    return remember


def objective_settings(name: str, values: Mapping[str, Any]) -> Settings:
    """The checked settings of an objective.

    Raises:
        ValueError: there is no such objective, or a setting is unknown or out of its range (pydantic's
            ValidationError is one).
    """
    if name not in _OBJECTIVES:
        raise ValueError(f"there is no objective {name!r}; choose one of {', '.join(sorted(_OBJECTIVES))}")
    return _OBJECTIVES[name][0].model_validate(dict(values))


def create_objective(
    name: str, network: nn.Module, values: Mapping[str, Any], resources: Mapping[str, Path] | None = None
) -> Objective:
    """The named procedure around a network.

    Args:
        name: what a recipe calls it.
        network: the network to train.
        values: the recipe's settings for it.
        resources: files by name, for example `{"vgg16": Path("vgg16-397923af.pth")}`.

    Raises:
        ValueError: as `objective_settings`.
    """
    settings = objective_settings(name, values)
    return _OBJECTIVES[name][1](network, settings, resources or {})
