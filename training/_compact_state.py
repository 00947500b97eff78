"""The state of an unfinished training in a file that is small enough to commit.

Weights are rounded to half precision, optimisers' moments to bfloat16. The running average is kept as its difference
from the weights, and the best weights as their difference from the average, in eight bits. The loss is far smaller
than the change of one training step.
"""

from __future__ import annotations

import io
import lzma
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

UNFINISHED = Path(__file__).parent / "unfinished"
"""Folder in which `nightlift train` keeps the states of trainings that a budget or a signal ended, to be resumed."""

MAX_UNFINISHED_BYTES = 12 << 20
"""Most bytes that may be committed in the folder in all."""

SMALL = 64
"""Tensors of fewer elements are kept as they are."""

LARGEST_IN_EIGHT_BITS = torch.finfo(torch.float8_e4m3fn).max

# Values are pairs of bytes, and the upper bytes are similar: the packer models the two separately by position.
FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6, "lc": 2, "lp": 1, "pb": 1}]

State = dict[str, Any]


def save_compact(path: Path, state: Mapping[str, Any]) -> None:
    """Write a trainer's state, so that the file is either the old one or the whole new one.

    Args:
        path: the file; its folder is made if it is missing.
        state: `objective` (weights by name, the network's as `network.*`), `optimizers`, `average` and
            `best_weights` (both may be None), and whatever else torch saves.
    """
    weights = _each_tensor(state["objective"], _to(torch.float16))
    compact = {**state, "objective": weights, "optimizers": _each_tensor(state["optimizers"], _to(torch.bfloat16))}
    known = _network(weights)
    if state["average"] is not None:
        values = _differences(state["average"]["values"], known)
        compact["average"] = {**state["average"], "values": values}
        known = _sums(values, known)
    if state["best_weights"] is not None:
        compact["best_weights"] = _differences(state["best_weights"], known)
    content = io.BytesIO()
    torch.save(compact, content)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(lzma.compress(content.getvalue(), filters=FILTERS))
    os.replace(part, path)


def load_compact(path: Path) -> State:
    """The state as `save_compact` was given it, in float32, rounded.

    Raises:
        ValueError: the file is not such a state.
    """
    try:
        content = io.BytesIO(lzma.decompress(path.read_bytes()))
        state: State = torch.load(content, map_location="cpu", weights_only=True)
    except (lzma.LZMAError, RuntimeError, EOFError) as error:
        raise ValueError(f"{path} is not the state of an unfinished training: {error}") from error
    state["objective"] = _each_tensor(state["objective"], _to(torch.float32))
    state["optimizers"] = _each_tensor(state["optimizers"], _to(torch.float32))
    known = _network(state["objective"])
    if state["average"] is not None:
        known = state["average"]["values"] = _sums(state["average"]["values"], known)
    if state["best_weights"] is not None:
        state["best_weights"] = _sums(state["best_weights"], known)
    return state


def _each_tensor(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same nest of dictionaries and lists with every tensor changed."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _each_tensor(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [_each_tensor(item, change) for item in value]
    return value


def _to(dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    """A function that rounds floating-point tensors, unless they are small or have values beyond the type's range."""

    def change(value: Tensor) -> Tensor:
        value = value.detach().cpu()
        if not value.is_floating_point() or value.numel() < SMALL or value.dtype == dtype:
            return value
        rounded = value.to(dtype)
        return rounded.contiguous() if bool(rounded.isfinite().all()) else value

    return change


def _network(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's weights among the objective's, by the network's own names."""
    inside = "network."
    return {key.removeprefix(inside): value.float() for key, value in weights.items() if key.startswith(inside)}


def _differences(values: Mapping[str, Tensor], known: Mapping[str, Tensor]) -> dict[str, Any]:
    """(Difference in eight bits, what 1 in it stands for) by name; small tensors and whole numbers themselves."""
    result: dict[str, Any] = {}
    for name, value in values.items():
        value = value.detach().cpu()
        if not value.is_floating_point() or value.numel() < SMALL:
            result[name] = value
            continue
        difference = value.float() - known[name]
        unit = float(difference.abs().max()) / LARGEST_IN_EIGHT_BITS or 1.0
        result[name] = ((difference / unit).to(torch.float8_e4m3fn).contiguous(), unit)
    return result


def _sums(differences: Mapping[str, Any], known: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What `_differences` was given."""
    return {
        name: known[name] + entry[0].float() * entry[1] if isinstance(entry, tuple) else entry
        for name, entry in differences.items()
    }
