"""What surrounds a network under the pixel contract, tried with networks of one line."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from export import PixelModel
from service.limits import MIN_SIDE
from training import networks

PLAIN = replace(networks.spec("zero_dce"), output_gamma=1.0, multiple=1)


class Shift(nn.Module):
    """Adds a number."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def forward(self, image: Tensor) -> Tensor:
        return image + self.by


class Remember(nn.Module):
    """Answers with its input, and keeps it."""

    def forward(self, image: Tensor) -> Tensor:
        self.seen = image
        return image


def codes(*values: int, side: int = MIN_SIDE) -> Tensor:
    """A uint8 picture [1, side, side, 3] that holds these values."""
    filled = np.resize(np.array(values, np.uint8), (1, side, side, 3))
    return torch.from_numpy(filled.copy())


def test_code_values_survive_a_network_that_changes_nothing() -> None:
    every_value = codes(*range(256))
    assert torch.equal(PixelModel(Shift(0.0), PLAIN)(every_value), every_value)


def test_result_has_the_pictures_layout_and_type() -> None:
    picture = torch.zeros(3, 17, 41, 3, dtype=torch.uint8)
    result = PixelModel(Shift(0.5), replace(PLAIN, multiple=8))(picture)
    assert (result.shape, result.dtype, result.is_contiguous()) == (picture.shape, torch.uint8, True)


@pytest.mark.parametrize(("by", "expected"), [(-2.0, 0), (2.0, 255), (float("inf"), 255)])
def test_values_out_of_range_are_clamped(by: float, expected: int) -> None:
    assert PixelModel(Shift(by), PLAIN)(codes(100)).unique().tolist() == [expected]


@pytest.mark.parametrize(("halves", "expected"), [(1, 0), (3, 2), (5, 2), (7, 4)])
def test_halves_are_rounded_to_even(halves: int, expected: int) -> None:
    assert PixelModel(Shift(halves / 2 / 255), PLAIN)(codes(0)).unique().tolist() == [expected]


def test_gamma_darkens_after_clamping() -> None:
    model = PixelModel(Shift(0.0), replace(PLAIN, output_gamma=1.15))
    values = np.arange(256)
    expected = np.round(255 * (values / 255) ** 1.15).astype(int)
    assert np.abs(model(codes(*values)).unique().numpy() - np.unique(expected)).max() <= 1
    assert PixelModel(Shift(-2.0), replace(PLAIN, output_gamma=1.15))(codes(9)).unique().tolist() == [0]


def test_sides_are_padded_by_reflection_and_cropped_again() -> None:
    network = Remember()
    picture = torch.randint(0, 256, (2, 19, 30, 3), dtype=torch.uint8, generator=torch.manual_seed(0))
    result = PixelModel(network, replace(PLAIN, multiple=8))(picture)
    assert network.seen.shape == (2, 3, 24, 32)
    inside = picture.permute(0, 3, 1, 2) / 255
    assert torch.equal(network.seen[:, :, :19, :30], inside)
    assert torch.equal(network.seen[:, :, 19:, :30], inside[:, :, 13:18].flip(2))
    assert torch.equal(network.seen[:, :, :19, 30:], inside[:, :, :, 27:29].flip(3))
    assert torch.equal(result, picture)


def test_the_smallest_side_leaves_room_for_every_networks_padding() -> None:
    for name in networks.names():
        assert networks.spec(name).multiple <= MIN_SIDE
        assert networks.spec(name).smallest_side <= MIN_SIDE


def test_half_precision_reaches_the_network_and_no_further() -> None:
    network = Remember()
    picture = codes(*range(256))
    result = PixelModel(network, PLAIN).half()(picture)
    assert network.seen.dtype == torch.float16
    assert (result.int() - picture.int()).abs().max() <= 1
