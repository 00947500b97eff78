"""The networks whose export takes a minute each, and which `make test` therefore leaves out.

python -m pytest tests/export/large_networks.py
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from torch import nn

from export import PixelModel
from export._onnx import to_onnx
from export._parity import measure, onnx_runner, torch_runner, torchscript_runner
from export._torchscript import to_torchscript
from tests.export.checkpoints import seeded
from training import networks

SIZES = ((101, 75), (16, 16))

LARGE: dict[str, Callable[[], nn.Module]] = {
    "drbn_perceptual": lambda: networks.create("drbn_perceptual"),  # holds all of `drbn`
    "ded_net": lambda: networks.create("ded_net", width=8),
}


def check_exports(name: str, network: nn.Module) -> None:
    """See that both formats give what torch gives, within one code value."""
    model = PixelModel(seeded(network), networks.spec(name)).eval()
    in_torch = torch_runner(model)
    measure(in_torch, onnx_runner(to_onnx(model, {})), SIZES).require(f"{name} in ONNX")
    measure(in_torch, torchscript_runner(to_torchscript(model, {})), SIZES).require(f"{name} in TorchScript")


@pytest.mark.parametrize("name", sorted(LARGE))
def test_exports_within_one_code_value(name: str) -> None:
    check_exports(name, LARGE[name]())
