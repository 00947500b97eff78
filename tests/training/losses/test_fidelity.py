"""Distances to a reference: values that can be worked out by hand."""

from __future__ import annotations

import torch

from training.losses.fidelity import blurred, charbonnier, gaussian_divergence


def test_charbonniers_distance_is_the_absolute_one_far_from_zero_and_epsilon_at_it() -> None:
    image = torch.full((1, 3, 4, 4), 0.5)
    torch.testing.assert_close(charbonnier(image, image), torch.tensor(1e-3))
    torch.testing.assert_close(charbonnier(image + 0.3, image), torch.tensor(0.3), rtol=0, atol=1e-5)


def test_the_divergence_of_gaussians_matches_torchs() -> None:
    torch.manual_seed(0)
    target, image = torch.randn(2, 3, 16, 16) * 0.3 + 0.2, torch.randn(1, 3, 8, 8) * 0.5
    normals = [
        torch.distributions.Normal(x.mean((0, 2, 3)), (x.var((0, 2, 3), correction=0) + 1e-6).sqrt())
        for x in (target, image)
    ]
    expected = torch.distributions.kl_divergence(*normals).sum()
    torch.testing.assert_close(gaussian_divergence(target, image), expected)


def test_the_divergence_moves_the_image_and_not_its_target() -> None:
    target, image = (torch.rand(1, 3, 8, 8, requires_grad=True) for _ in range(2))
    gaussian_divergence(target, image).backward()
    assert target.grad is None
    assert image.grad is not None
    assert image.grad.abs().max() > 0


def test_blurring_averages_boxes_and_keeps_a_rest() -> None:
    image = torch.arange(10.0).reshape(1, 1, 1, 10)
    assert blurred(image.expand(1, 1, 4, 10), 4).tolist() == [[[[1.5, 5.5, 8.5]]]]
