"""Zero-DCE's training, with and without references beside its own losses."""

from __future__ import annotations

import torch
from torch import Tensor

from tests import pictures
from training import networks
from training.losses.fidelity import match_brightness
from training.objectives import create_objective
from training.objectives.zero_reference import ZeroReference


def _objective(**settings: float) -> ZeroReference:
    torch.manual_seed(0)
    objective = create_objective("zero_reference", networks.create("zero_dce"), {"color_epsilon": 1e-10, **settings})
    assert isinstance(objective, ZeroReference)
    return objective


def _batch() -> dict[str, Tensor]:
    """Dark pictures without a reference, and a pair."""
    low, high = (
        torch.tensor(view).permute(2, 0, 1)[None].float() / 255 for view in pictures.pair("coffee", (48, 64))
    )
    dark = torch.tensor(pictures.dark_scene("astronaut", (48, 64))).permute(2, 0, 1)[None].float() / 255
    return {"image": dark, "low": low, "high": high}


def _step(objective: ZeroReference, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    def update(player: str, loss: Tensor) -> None:
        assert player == "network"
        loss.backward()

    return objective.step(batch, update)


def test_references_add_half_a_difference_that_sees_exposure_and_half_a_one_that_does_not() -> None:
    batch = _batch()
    objective = _objective(reference=20)
    losses = _step(objective, batch)
    with torch.no_grad():
        own = objective.losses(batch["image"])["loss"]
        enhanced, high = objective.network(batch["low"]), batch["high"]
        seeing = (enhanced - high).abs().mean()
        blind = (match_brightness(enhanced, high) - high).abs().mean()
    assert blind < 0.9 * seeing
    torch.testing.assert_close(losses["reference"], (seeing + blind) / 2)
    torch.testing.assert_close(losses["loss"], own + 20 * losses["reference"])


def test_without_their_weight_references_change_nothing() -> None:
    batch = _batch()
    gradients = []
    for given in (batch, {"image": batch["image"]}):
        objective = _objective()
        losses = _step(objective, given)
        assert "reference" not in losses
        gradients.append(next(objective.network.parameters()).grad)
    torch.testing.assert_close(*gradients, rtol=0, atol=0)
