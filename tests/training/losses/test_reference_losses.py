"""Structural, perceptual, adversarial and variation losses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from tests.pictures import pair
from training.discriminators import PatchDiscriminator, SortedColorDiscriminator
from training.losses.adversarial import discriminator_loss, generator_loss, noisy_discriminator_loss
from training.losses.perceptual import LAYERS, PLAN, Vgg16, perceptual_distance, style_distance
from training.losses.ssim import ssim
from training.losses.variation import total_variation


def tensors(size: tuple[int, int] = (48, 64)) -> tuple[Tensor, Tensor]:
    dark, bright = (torch.from_numpy(view).permute(2, 0, 1)[None].float() / 255 for view in pair(size=size))
    return dark, bright


@pytest.fixture(scope="module")
def vgg_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of VGG16's form, with drawn weights: what the losses compute does not depend on their values."""
    generator = torch.Generator().manual_seed(0)
    state: dict[str, Tensor] = {}
    index, channels = 0, 3
    for entry in PLAN:
        if isinstance(entry, int):
            state[f"features.{index}.weight"] = 0.1 * torch.randn(entry, channels, 3, 3, generator=generator)
            state[f"features.{index}.bias"] = torch.zeros(entry)
            index, channels = index + 2, entry
        else:
            index += 1
    state["classifier.0.bias"] = torch.zeros(1)
    path = tmp_path_factory.mktemp("vgg") / "vgg16.pth"
    torch.save(state, path)
    return path


def test_ssim_of_equal_pictures_is_one() -> None:
    dark, _ = tensors()
    assert ssim(dark, dark).item() == pytest.approx(1, abs=1e-6)


def test_ssim_is_scikit_images() -> None:
    dark, bright = tensors()
    expected = structural_similarity(
        dark[0].numpy(),
        bright[0].numpy(),
        channel_axis=0,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert ssim(dark, bright, padded=False).item() == pytest.approx(expected, abs=1e-5)


def test_ssim_pads_with_zeros_by_default() -> None:
    dark, bright = tensors()
    border = torch.nn.ZeroPad2d(5)
    assert ssim(dark, bright).item() == pytest.approx(
        ssim(border(dark), border(bright), padded=False).item(), abs=1e-6
    )


def test_ssim_refuses_what_it_cannot_compare() -> None:
    with pytest.raises(ValueError, match="shapes"):
        ssim(torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 12))
    with pytest.raises(ValueError, match="at least 11"):
        ssim(torch.zeros(1, 3, 8, 16), torch.zeros(1, 3, 8, 16), padded=False)


def test_ssim_has_a_gradient_towards_the_reference() -> None:
    dark, bright = tensors()
    image = dark.clone().requires_grad_()
    before = ssim(image, bright)
    before.backward()
    assert ssim(image.detach() + 1e2 * image.grad, bright) > before


def test_total_variation_counts_both_directions() -> None:
    steps = torch.arange(4.0).reshape(1, 1, 1, 4).expand(1, 1, 3, 4)
    assert total_variation(steps).item() == pytest.approx(1)
    assert total_variation(steps.transpose(2, 3)).item() == pytest.approx(1)
    assert total_variation(torch.ones(1, 3, 5, 5)).item() == 0


def test_adversarial_losses_vanish_at_their_targets() -> None:
    assert discriminator_loss(torch.ones(2, 1, 3, 3), torch.zeros(2, 1, 3, 3)).item() == 0
    assert generator_loss(torch.ones(2)).item() == 0
    assert generator_loss(torch.zeros(2)).item() == 1


def test_noisy_labels_are_drawn_for_each_picture() -> None:
    torch.manual_seed(0)
    losses = torch.stack(
        [noisy_discriminator_loss(torch.full((1,), 0.95), torch.full((1,), 0.15)) for _ in range(2000)]
    )
    # Variance of U[0.7, 1.2] plus that of U[0, 0.3], at their means.
    assert losses.mean().item() == pytest.approx(0.5**2 / 12 + 0.3**2 / 12, rel=0.05)
    assert losses.min() < losses.max()


def test_vgg_features_have_the_sizes_of_their_places(vgg_file: Path) -> None:
    dark, _ = tensors((32, 48))
    features = Vgg16(vgg_file)(dark, tuple(LAYERS))
    assert features["relu1_2"].shape == (1, 64, 32, 48)
    assert features["pool1"].shape == (1, 64, 16, 24)
    assert features["relu2_2"].shape == (1, 128, 16, 24)
    assert features["relu3_3"].shape == (1, 256, 8, 12)
    assert features["pool3"].shape == (1, 256, 4, 6)


def test_vgg_losses_vanish_for_equal_pictures_and_reach_the_picture(vgg_file: Path) -> None:
    vgg = Vgg16(vgg_file).train()
    dark, bright = tensors((32, 48))
    dark.requires_grad_()
    names = ("relu1_2", "pool2")
    ours, theirs = vgg(dark, names), vgg(bright, names)
    assert perceptual_distance(theirs, theirs, {"relu1_2": 1.0}).item() == 0
    assert style_distance(theirs, theirs, ("pool2",)).item() == 0
    loss = perceptual_distance(ours, theirs, {"relu1_2": 1.0}) + style_distance(ours, theirs, ("pool2",))
    loss.backward()
    assert dark.grad is not None
    assert dark.grad.abs().max() > 0
    assert not any(parameter.requires_grad for parameter in vgg.parameters())
    assert not vgg.training


def test_style_ignores_places(vgg_file: Path) -> None:
    _, bright = tensors((32, 48))
    features = Vgg16(vgg_file)(bright, ("relu1_1",))
    mirrored = {"relu1_1": features["relu1_1"].flip(3)}
    assert style_distance(mirrored, features, ("relu1_1",)).item() == pytest.approx(0, abs=1e-8)


def test_wrong_vgg_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Vgg16(tmp_path / "nowhere.pth")
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="is not a VGG16 state dict"):
        Vgg16(tmp_path / "other.pth")


def test_patch_discriminator_halves_four_times() -> None:
    assert PatchDiscriminator()(torch.rand(1, 3, 64, 88)).shape == (1, 1, 4, 6)


@torch.no_grad()
def test_sorted_color_discriminator_sees_hue_only_in_half_its_input() -> None:
    torch.manual_seed(0)
    discriminator = SortedColorDiscriminator().eval()
    image = torch.rand(2, 3, 32, 32)
    permuted = image[:, [2, 0, 1]]
    seen: list[np.ndarray] = []
    discriminator.conv1.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].numpy()))
    scores = discriminator(image), discriminator(permuted)
    assert scores[0].shape == (2,)
    assert not np.array_equal(seen[0][:, :3], seen[1][:, :3])
    assert np.array_equal(seen[0][:, 3:], seen[1][:, 3:])
    assert ((scores[0] > 0) & (scores[0] < 1)).all()
