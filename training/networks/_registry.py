"""The registry of networks: their names, how to build them, and how they may be applied to pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from torch import nn

from service.contract import MapLayout

Builder = TypeVar("Builder", bound=Callable[..., nn.Module])


@dataclass(frozen=True)
class NetworkSpec:
    """What export, rendering and documentation need to know about a network beyond its code.

    Attributes:
        name: the name in recipes, checkpoints and URLs, for example `zero_dce`.
        title: the name as its authors write it.
        paper: authors, title, venue and year.
        recipe: name of the default recipe in `training/recipes`.
        spatial_scope: `local` networks may be tiled exactly, `global` ones depend on the whole picture.
        halo: receptive-field radius in pixels; tiles overlap by it. Meaningful for `local` networks only.
        multiple: both sides of the input must be multiples of it, in pixels.
        smallest_side: shortest side in pixels on which the network itself can run.
        working_side: long side in pixels of the picture on which the network works best (training scale).
        output_gamma: exponent applied to the clamped output when served; 1 changes nothing.
        map_layout: of the local colour map that the network predicts from a small picture and renders its result
            with. Such a network has `side`, the proxy's long side; `render`; and `affine`, which takes a float proxy,
            the evidence of hidden detail, the wanted brightness, and stops that are added to it, and returns the map
            and the guessed brightness.
        takes_answer: whether the network works on another network's result: its input is [N, 6, H, W], the result and
            the photo that it was made from.
    """

    name: str
    title: str
    paper: str
    recipe: str
    spatial_scope: Literal["local", "global"]
    halo: int
    multiple: int
    smallest_side: int
    working_side: int
    output_gamma: float = 1.0
    map_layout: MapLayout = MapLayout.NONE
    takes_answer: bool = False


_NETWORKS: dict[str, tuple[NetworkSpec, Callable[..., nn.Module]]] = {}


def register(spec: NetworkSpec) -> Callable[[Builder], Builder]:
    """Register the decorated class or function; its parameters become the network's options.

    Raises:
        ValueError: the name is taken.
    """

    def remember(builder: Builder) -> Builder:
        if spec.name in _NETWORKS:
            raise ValueError(f"two networks are called {spec.name!r}")
        _NETWORKS[spec.name] = (spec, builder)
        return builder

    return remember


def create(name: str, **options: Any) -> nn.Module:
    """A freshly initialised network: float NCHW RGB in [0, 1] -> enhanced float NCHW of the same size.

    Args:
        name: one of `names()`.
        options: keyword arguments of the network's builder, as a checkpoint's `options` has them.

    Raises:
        ValueError: there is no such network, or it does not take these options.
    """
    spec(name)
    builder = _NETWORKS[name][1]
    try:
        return builder(**options)
    except TypeError as error:
        raise ValueError(f"network {name!r} does not take the options {options}: {error}") from error


def names() -> tuple[str, ...]:
    """Names of all networks, sorted."""
    return tuple(sorted(_NETWORKS))


def spec(name: str) -> NetworkSpec:
    """The network's description.

    Raises:
        ValueError: there is no such network.
    """
    if name not in _NETWORKS:
        raise ValueError(f"there is no network {name!r}; choose one of {', '.join(names())}")
    return _NETWORKS[name][0]
