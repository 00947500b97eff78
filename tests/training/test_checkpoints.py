"""From a checkpoint to a network."""

from __future__ import annotations

import torch

from training import networks
from training.checkpoints import build_network


def test_weights_below_the_normal_range_are_nothing() -> None:
    state = networks.create("zero_dce_improved").state_dict()
    weight = state["e_conv1.weight"]
    weight[0, 0, 0] = torch.tensor([1e-39, -1e-41, 2e-38])
    expected = weight.clone()
    expected[0, 0, 0, :2] = 0
    built = build_network({"network": "zero_dce_improved", "options": {}, "state_dict": state})
    assert torch.equal(built.state_dict()["e_conv1.weight"], expected)
    assert (built.state_dict()["e_conv1.weight"][0, 0, 0] == 0).tolist() == [True, True, False]
