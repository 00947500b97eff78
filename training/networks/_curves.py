"""The light-enhancement curve that Zero-DCE and its descendants share."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from training.networks._official import OfficialLayout, StateDict, register_official


def apply_curves(image: Tensor, curves: Tensor) -> Tensor:
    """Brighten by one quadratic curve after another: `y <- y + r (y^2 - y)` (Zero-DCE, equation 2).

    Args:
        image: float [N, 3, H, W] in [0, 1].
        curves: float [N, 3n, H, W] in [-1, 1]: for each of n iterations, one map a colour channel.

    Returns:
        float [N, 3, H, W]; in [0, 1] by construction.
    """
    for curve in curves.split(3, dim=1):
        image = image + curve * (image * image - image)
    return image


def register_published_trunk(network: str, features: int) -> None:
    """Recognise the published seven-convolution state dict of this width; its keys are ours already."""

    def matches(states: Sequence[StateDict]) -> bool:
        expected = {f"e_conv{layer}.{part}" for layer in range(1, 8) for part in ("weight", "bias")}
        return (
            len(states) == 1
            and set(states[0]) == expected
            and tuple(states[0]["e_conv1.weight"].shape) == (features, 3, 3, 3)
        )

    register_official(OfficialLayout(network, matches, lambda states: ({}, dict(states[0]))))


def initialise(network: nn.Module, deviation: float = 0.02) -> None:
    """Draw all convolution weights from N(0, deviation^2), as the published code does; biases stay as they are."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, 0.0, deviation)
