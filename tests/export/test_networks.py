"""Every network exports: equal to torch within one code value at odd sizes, alone and in batches, in both formats.

The large ones are exported at a fraction of their width, or one of their two equal halves: the layers and what they
do with sizes are the same. The Zero-DCE pair and Nightlift are exported by the other tests; what works on
another's answer keeps no pixel contract. The two that take a minute each are in large_networks.py.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import nn

from export._graphs import Graph, graphs_of, model_name
from tests.export.large_networks import LARGE, check_exports
from training import networks
from training.networks.drgn import FusionNetwork

SMALL: dict[str, Callable[[], nn.Module]] = {
    "exdnet": lambda: networks.create("exdnet"),
    "drgn": lambda: FusionNetwork(8, groups=1),
}


def test_no_network_is_forgotten() -> None:
    of_pictures = {name for name in networks.names() if not networks.spec(name).takes_answer}
    assert {*SMALL, *LARGE, "drbn", "nightlift", "zero_dce", "zero_dce_improved"} == of_pictures


def test_only_a_network_of_maps_has_two_graphs() -> None:
    others = {"nightlift": (Graph.MAPS, Graph.PICTURES), "restorer": (Graph.RESTORER,)}
    for name in networks.names():
        assert graphs_of(networks.spec(name)) == others.get(name, (Graph.PICTURES,))
    assert model_name("night", Graph.MAPS, "torchscript") == "night_map_torchscript"
    assert model_name("night", Graph.PICTURES, "onnx") == "night"


@pytest.mark.parametrize("name", sorted(SMALL))
def test_exports_within_one_code_value(name: str) -> None:
    check_exports(name, SMALL[name]())
