"""Zero-DCE and Zero-DCE-improved: published results, structure, ranges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests import pictures
from training import networks

PUBLISHED = {
    "zero_dce": ("zerodce_Epoch99.pth", "zerodce"),
    "zero_dce_improved": ("zerodce_improved_pre-train.pth", "zerodce_improved"),
}
PAIR = tuple(PUBLISHED)


def _image(height: int = 40, width: int = 56) -> torch.Tensor:
    return torch.from_numpy(pictures.dark_scene("coffee", (height, width))).permute(2, 0, 1)[None] / 255


@pytest.mark.parametrize("crop", ["crop96x128", "crop101x75"])
@pytest.mark.parametrize("name", PAIR)
def test_published_weights_give_the_published_results(name: str, crop: str, shared: Path) -> None:
    weights, stem = PUBLISHED[name]
    golden = np.load(shared / "golden" / f"{stem}_{crop}.npz")
    checkpoint = networks.load_official(shared / "golden" / "weights" / weights)
    assert checkpoint["network"] == name
    network = networks.create(name).eval()
    network.load_state_dict(checkpoint["state_dict"])
    image = torch.from_numpy(golden["input"])
    with torch.no_grad():
        curves = network.curves(image)
        np.testing.assert_allclose(curves.numpy(), golden["r"], atol=1e-5)
        halfway = networks.apply_curves(image, curves[:, :12])
        np.testing.assert_allclose(halfway.numpy(), golden["enhance_1"], atol=1e-5)
        np.testing.assert_allclose(network(image).numpy(), golden["output"], atol=1e-5)


@pytest.mark.parametrize(("name", "count"), [("zero_dce", 79_416), ("zero_dce_improved", 23_592)])
def test_parameter_count_is_the_published_one(name: str, count: int) -> None:
    assert sum(parameter.numel() for parameter in networks.create(name).parameters()) == count


@pytest.mark.parametrize("name", PAIR)
def test_result_stays_in_range_however_wild_the_weights(name: str) -> None:
    torch.manual_seed(0)
    network = networks.create(name)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=1.0)
    with torch.no_grad():
        result = network(_image())
    assert result.min() >= 0
    assert result.max() <= 1


@pytest.mark.parametrize("name", PAIR)
def test_every_convolution_matters(name: str) -> None:
    torch.manual_seed(0)
    network = networks.create(name)
    image = _image()
    with torch.no_grad():
        before = network(image)
        for layer in range(1, 8):
            changed = networks.create(name)
            changed.load_state_dict(network.state_dict())
            getattr(changed, f"e_conv{layer}").bias += 0.5
            assert (changed(image) - before).abs().max() > 1e-4, f"e_conv{layer} has no effect"


@pytest.mark.parametrize("name", PAIR)
def test_receptive_field_is_the_halo(name: str) -> None:
    torch.manual_seed(1)
    network = networks.create(name).double()
    for parameter in network.parameters():
        torch.nn.init.uniform_(parameter, 0.0, 0.007)  # all paths open, none cancels, nothing saturates
    image = torch.full((1, 3, 41, 41), 0.3, dtype=torch.float64)
    touched = image.clone()
    touched[:, :, 20, 20] += 0.2
    with torch.no_grad():
        changed = (network(touched) != network(image)).any(dim=1)[0].nonzero()
    assert int((changed - 20).abs().max()) == networks.spec(name).halo


@pytest.mark.parametrize("name", PAIR)
def test_scripting_changes_nothing(name: str) -> None:
    network = networks.create(name).eval()
    image = _image()
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.script(network)(image), network(image))


def test_improved_pools_for_the_fourth_convolution_only() -> None:
    """The skip into the fifth convolution is un-pooled: with the fourth silenced, pooling must not show."""
    torch.manual_seed(0)
    network = networks.create("zero_dce_improved")
    torch.nn.init.zeros_(network.e_conv4.weight)
    torch.nn.init.zeros_(network.e_conv4.bias)
    image = _image()
    with torch.no_grad():
        x1 = torch.relu(network.e_conv1(image))
        x2 = torch.relu(network.e_conv2(x1))
        x3 = torch.relu(network.e_conv3(x2))
        x5 = torch.relu(network.e_conv5(torch.cat([x3, torch.zeros_like(x3)], 1)))
        x6 = torch.relu(network.e_conv6(torch.cat([x2, x5], 1)))
        expected = torch.tanh(network.e_conv7(torch.cat([x1, x6], 1)))
        torch.testing.assert_close(network.curves(image), expected)
