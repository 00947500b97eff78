"""The zero-reference losses against sums done by hand."""

from __future__ import annotations

import math

import pytest
import torch

from training.losses.zero_reference import (
    color_constancy,
    exposure_control,
    illumination_smoothness,
    spatial_consistency,
)


def test_smoothness_sums_over_channels_and_divides_by_pixels() -> None:
    # One step of 1 down in a 2x3 map: three squared differences over (2 - 1) * 3 places, twice; across: none.
    curves = torch.tensor([[0.0, 0, 0], [1, 1, 1]]).reshape(1, 1, 2, 3)
    assert illumination_smoothness(curves).item() == pytest.approx(2.0)
    assert illumination_smoothness(curves.expand(1, 24, 2, 3)).item() == pytest.approx(48.0)
    assert illumination_smoothness(curves.expand(5, 1, 2, 3)).item() == pytest.approx(2.0)


def test_smoothness_weighs_directions_by_their_own_counts() -> None:
    across = torch.tensor([[0.0, 2, 2], [0, 2, 2]]).reshape(1, 1, 2, 3)
    assert illumination_smoothness(across).item() == pytest.approx(2 * (4 + 4) / (2 * 2))


def test_consistency_sees_zeros_beyond_the_border() -> None:
    # One region brightened by 0.5 differs from each of four zero neighbours by 0.5.
    image = torch.zeros(1, 3, 4, 4)
    assert spatial_consistency(image + 0.5, image).item() == pytest.approx(4 * 0.25)
    # Two regions side by side, equally brightened: three outer neighbours each, the inner contrast is unchanged.
    wide = torch.zeros(1, 3, 4, 8)
    assert spatial_consistency(wide + 0.5, wide).item() == pytest.approx(3 * 0.25)


def test_consistency_is_zero_for_the_input_itself() -> None:
    image = torch.rand(2, 3, 16, 16)
    assert spatial_consistency(image, image).item() == 0


def test_color_takes_fourth_powers() -> None:
    image = torch.zeros(1, 3, 4, 4)
    image[:, 0] = 0.5
    image[:, 1] = 0.2
    expected = math.sqrt(0.3**4 + 0.5**4 + 0.2**4)
    assert color_constancy(image).item() == pytest.approx(expected)


def test_color_is_a_mean_over_the_batch() -> None:
    grey, red = torch.full((1, 3, 2, 2), 0.4), torch.tensor([1.0, 0, 0]).reshape(1, 3, 1, 1).expand(1, 3, 2, 2)
    both = color_constancy(torch.cat([grey, red]))
    assert both.item() == pytest.approx(color_constancy(red).item() / 2)


def test_color_of_grey_has_a_gradient_only_with_epsilon() -> None:
    published = torch.full((1, 3, 2, 2), 0.4, requires_grad=True)
    color_constancy(published).backward()
    assert published.grad.isnan().any()
    repaired = torch.full((1, 3, 2, 2), 0.4, requires_grad=True)
    color_constancy(repaired, epsilon=1e-12).backward()
    assert repaired.grad.abs().max() == 0


def test_exposure_is_measured_on_patches() -> None:
    image = torch.zeros(1, 3, 16, 32)
    image[:, :, :, 16:] = 1.0
    assert exposure_control(image).item() == pytest.approx((0.6**2 + 0.4**2) / 2)
    assert exposure_control(image, target=0.5).item() == pytest.approx(0.25)
    # Patches of 32 columns would hide the contrast; of 8, they do not change it.
    assert exposure_control(image, patch=8).item() == pytest.approx((0.6**2 + 0.4**2) / 2)
