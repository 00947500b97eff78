"""The network that takes the noise out of an enhanced photo: sizes, what it begins with, how far it looks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from training import networks
from training.networks.restorer import Restorer, local_gain


@pytest.fixture(scope="module")
def network() -> Restorer:
    """With a head that does something, as after training."""
    torch.manual_seed(4)
    built = networks.create("restorer", widths=(8, 12, 16))
    assert isinstance(built, Restorer)
    nn.init.normal_(built.head.weight, 0.0, 0.02)
    return built.eval()


def pairs(height: int, width: int, count: int = 1) -> torch.Tensor:
    torch.manual_seed(height * width)
    dark = 0.2 * torch.rand(count, 3, height, width)
    return torch.cat([3 * dark, dark], dim=1)


@pytest.mark.parametrize("size", [(8, 8), (16, 40), (96, 64)])
def test_an_answer_comes_back_in_its_size(network: Restorer, size: tuple[int, int]) -> None:
    with torch.inference_mode():
        assert network(pairs(*size, count=2)).shape == (2, 3, *size)


def test_without_training_the_answer_stays_as_it_is() -> None:
    torch.manual_seed(0)
    pair = pairs(64, 64)
    with torch.inference_mode():
        restored = networks.create("restorer")(pair)
    assert (restored - pair[:, :3]).abs().max() < 0.05


def test_it_looks_at_the_photo_and_at_the_answer(network: Restorer) -> None:
    pair = pairs(64, 64)
    with torch.inference_mode():
        restored = network(pair)
        for half in (slice(0, 3), slice(3, 6)):
            other = pair.clone()
            other[:, half] *= 0.7
            assert (network(other) - restored - (other - pair)[:, :3]).abs().max() > 1e-3


def test_what_lies_beyond_the_halo_counts_for_nothing_that_can_be_seen(network: Restorer) -> None:
    """So that a picture may be restored in tiles."""
    halo = networks.spec("restorer").halo
    pair = pairs(128, 256)
    with torch.inference_mode():
        whole = network(pair)
        tile = network(pair[..., : 128 + halo])
    assert (255 * (whole[..., :128] - tile[..., :128])).abs().max() < 0.5


def test_the_local_gain_is_the_logarithm_of_the_ratio_of_means() -> None:
    dark = torch.full((1, 3, 32, 32), 0.1)
    gain = local_gain(4 * dark, dark)
    expected = np.log((0.4 + 1 / 255) / (0.1 + 1 / 255)) / 4
    torch.testing.assert_close(gain, torch.full((1, 1, 32, 32), expected), rtol=1e-5, atol=1e-6)


def test_parameters_stay_within_the_budget() -> None:
    assert sum(value.numel() for value in networks.create("restorer").parameters()) < 350_000
