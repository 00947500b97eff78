"""Reading the checkpoints that the networks' authors published.

Each network's file registers an `OfficialLayout`: how to recognise its published state dict by keys and shapes,
and how to turn it into ours. `load_official` finds the one that fits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.networks._registry import create

StateDict = Mapping[str, Tensor]


@dataclass(frozen=True)
class OfficialLayout:
    """One published form of a network's weights.

    Attributes:
        network: our name of the network.
        matches: whether these state dicts, one a file and in any order, are of this form.
        convert: these state dicts -> (options of our network, state dict of our network).
    """

    network: str
    matches: Callable[[Sequence[StateDict]], bool]
    convert: Callable[[Sequence[StateDict]], tuple[dict[str, Any], dict[str, Tensor]]]


_LAYOUTS: list[OfficialLayout] = []


def register_official(layout: OfficialLayout) -> None:
    """Register a published form of weights for `load_official`."""
    _LAYOUTS.append(layout)


def load_official(files: Path | Sequence[Path], name: str | None = None) -> dict[str, Any]:
    """Published weights as a training checkpoint, ready for export.

    Args:
        files: the published file, or files where the authors split the network (DRBN's two stages).
        name: our network's name, for weights that fit several; None: recognised by keys and shapes.

    Returns:
        `{"network", "options", "state_dict", "manifest"}`, as training writes it; loading is checked to be strict.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: the files are no state dicts, or fit no network, or not the named one.
    """
    paths = [files] if isinstance(files, Path) else list(files)
    states = [_read(path) for path in paths]
    fitting = [layout for layout in _LAYOUTS if layout.matches(states)]
    if name is not None:
        fitting = [layout for layout in fitting if layout.network == name]
    shown = ", ".join(path.name for path in paths)
    if not fitting:
        known = ", ".join(sorted({layout.network for layout in _LAYOUTS}))
        wanted = f"the published weights of {name}" if name else f"the published weights of any of {known}"
        raise ValueError(f"{shown}: keys and shapes are not {wanted}")
    if len(fitting) > 1:
        choices = ", ".join(layout.network for layout in fitting)
        raise ValueError(f"{shown}: the weights fit several networks, name one of {choices}")

    options, state_dict = fitting[0].convert(states)
    network = fitting[0].network
    create(network, **options).load_state_dict(state_dict, strict=True)
    manifest = {"source": "published checkpoint", "files": [path.name for path in paths]}
    return {"network": network, "options": options, "state_dict": state_dict, "manifest": manifest}


def _read(path: Path) -> dict[str, Tensor]:
    """The state dict in a file, without the wrappers that training frameworks add."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    content = torch.load(path, map_location="cpu", weights_only=True)
    for wrapping in ("params", "state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapping), Mapping):
            content = content[wrapping]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ValueError(f"{path.name} is not a state dict: expected a mapping of names to tensors")
    return {key.removeprefix("module."): value for key, value in content.items()}
