"""Names of weights in files that differ from those in the code, so that existing weights can always be loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn


def keep_saved_names(network: nn.Module, saved: Mapping[str, str]) -> None:
    """Give a network's state dict the names used in files. It loads from these, and from its own names.

    Args:
        network: the outermost module.
        saved: prefixes of the network's own names -> prefixes in files.
    """

    def save(_: nn.Module, state: dict[str, Any], prefix: str, __: object) -> None:
        _rename(state, {prefix + own: prefix + name for own, name in saved.items()})

    def load(_: nn.Module, state: dict[str, Any], prefix: str, *__: object) -> None:
        _rename(state, {prefix + name: prefix + own for own, name in saved.items()})

    network.register_state_dict_post_hook(save)
    network.register_load_state_dict_pre_hook(load)


def _rename(state: dict[str, Any], names: Mapping[str, str]) -> None:
    """Rename in place; the order stays."""
    entries = list(state.items())
    state.clear()
    for key, value in entries:
        former = next((former for former in names if key.startswith(former)), None)
        state[key if former is None else names[former] + key.removeprefix(former)] = value
