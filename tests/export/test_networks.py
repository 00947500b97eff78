"""Every network exports: equal to torch within one code value at odd sizes, alone and in batches, in both formats.

The large ones are exported at a fraction of their width, or one of their two equal halves: the layers and what they
do with sizes are the same. The Zero-DCE pair and both Nightlifts are exported by the other tests; what works on
another's answer keeps no pixel contract.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import nn

from export import PixelModel
from export._graphs import Graph, graphs_of, model_name
from export._onnx import to_onnx
from export._parity import measure, onnx_runner, torch_runner, torchscript_runner
from export._torchscript import to_torchscript
from tests.export.checkpoints import seeded
from training import networks
from training.networks.drgn import FusionNetwork

SIZES = ((101, 75), (16, 16))

SMALL: dict[str, Callable[[], nn.Module]] = {
    "exdnet": lambda: networks.create("exdnet"),
    "drbn_perceptual": lambda: networks.create("drbn_perceptual"),  # holds all of `drbn`
    "drgn": lambda: FusionNetwork(8, groups=1),
    "ded_net": lambda: networks.create("ded_net", width=8),
}


def test_no_network_is_forgotten() -> None:
    of_pictures = {name for name in networks.names() if not networks.spec(name).takes_answer}
    assert {*SMALL, "drbn", "nightlift", "nightlift_v2", "zero_dce", "zero_dce_improved"} == of_pictures


def test_of_evidence_alone_are_there_two_graphs() -> None:
    for name in networks.names():
        spec = networks.spec(name)
        assert graphs_of(spec) == ((Graph.MAPS, Graph.PICTURES) if spec.shown_evidence else (Graph.PICTURES,))
    assert model_name("night", Graph.MAPS, "torchscript") == "night_map_torchscript"
    assert model_name("night", Graph.PICTURES, "onnx") == "night"


@pytest.mark.parametrize("name", sorted(SMALL))
def test_exports_within_one_code_value(name: str) -> None:
    model = PixelModel(seeded(SMALL[name]()), networks.spec(name)).eval()
    in_torch = torch_runner(model)
    measure(in_torch, onnx_runner(to_onnx(model, {})), SIZES).require(f"{name} in ONNX")
    measure(in_torch, torchscript_runner(to_torchscript(model, {})), SIZES).require(f"{name} in TorchScript")
