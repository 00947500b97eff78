"""ExdNet: parity with the published computation, exposures, and that every part takes part."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.pictures import dark_scene
from training import networks
from training.networks.exdnet import EXPOSURE_RANGES, ColorAffine, DropPath, ExdNet, ExposureSynthesis

CASES = ("crop96x128", "crop101x75")


def tensor(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255


@pytest.fixture(scope="module")
def lively() -> ExdNet:
    """A network in which no part is at its neutral initial value."""
    generator = torch.Generator().manual_seed(3)
    network = ExdNet().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
        network.nlt_bias += 0.5
    return network


@pytest.fixture(scope="module")
def golden_network(shared: Path) -> ExdNet:
    network = ExdNet().eval()
    network.load_state_dict(torch.load(shared / "golden/weights/exdnet_seeded.pth", weights_only=True))
    return network


def test_parameter_count_is_the_published_one() -> None:
    assert sum(parameter.numel() for parameter in ExdNet().parameters()) == 75_554


def test_keys_and_shapes_are_the_published_ones(shared: Path) -> None:
    published = json.loads((shared / "golden/state_dicts.json").read_text())["exdnet"]
    assert {key: list(value.shape) for key, value in ExdNet().state_dict().items()} == published


def test_published_file_loads_strict(shared: Path) -> None:
    checkpoint = networks.load_official(shared / "golden/weights/exdnet_seeded.pth")
    assert checkpoint["network"] == "exdnet"


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_forward_matches_golden(shared: Path, golden_network: ExdNet, case: str) -> None:
    golden = np.load(shared / f"golden/exdnet_seeded_{case}.npz")
    stack = torch.from_numpy(golden["input"])
    refined = golden_network.refine(stack)
    np.testing.assert_allclose(refined.numpy(), golden["pre_calibration"], atol=1e-5)
    np.testing.assert_allclose(
        golden_network.color_matrix(refined)[0].numpy(), golden["ccm"].reshape(3, 3), atol=1e-5
    )
    np.testing.assert_allclose(golden_network.enhance(stack).numpy(), golden["output"], atol=1e-5)
    np.testing.assert_allclose(golden_network(tensor(golden["image_u8"])).numpy(), golden["output"], atol=1e-2)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("constants", "suffix"), [("lsrw", ""), ("rellisur", "_rellisur")])
def test_exposures_match_golden_within_one_code(shared: Path, case: str, constants: str, suffix: str) -> None:
    golden = np.load(shared / f"golden/exdnet_seeded_{case}.npz")
    exposures = ExposureSynthesis(constants)(tensor(golden["image_u8"])).split(3, dim=1)
    for number, exposure in enumerate(exposures, start=1):
        codes = (255 * exposure[0]).round().permute(1, 2, 0).numpy()
        assert np.abs(codes - golden[f"exp{number}{suffix}_u8"].astype(float)).max() <= 1


@pytest.mark.parametrize("size", [(3, 3), (7, 30), (41, 23)])
@pytest.mark.parametrize("brightest", [1, 5, 60, 255])
def test_percentiles_are_numpys(size: tuple[int, int], brightest: int) -> None:
    random = np.random.default_rng(brightest)
    codes = random.integers(0, brightest + 1, (2, 3, *size))
    low, high = ExposureSynthesis().percentiles(torch.from_numpy(codes))
    for picture in range(2):
        # numpy's interpolation may end a hair under a whole number that is exact here.
        expected = np.floor(np.percentile(codes[picture].astype(np.uint8), [1, 99]) + 1e-9)
        assert [low[picture].item(), high[picture].item()] == expected.tolist()


@pytest.mark.parametrize("constants", sorted(EXPOSURE_RANGES))
def test_exposures_span_their_range(constants: str) -> None:
    exposures = ExposureSynthesis(constants)(tensor(dark_scene(size=(64, 96)))).split(3, dim=1)
    for exposure, (darkest, brightest) in zip(exposures, EXPOSURE_RANGES[constants], strict=True):
        assert exposure.min().item() == pytest.approx(darkest, abs=1 / 255)
        assert exposure.max().item() == pytest.approx(brightest, abs=1 / 255)


def test_a_constant_picture_gets_flat_exposures() -> None:
    exposures = ExposureSynthesis()(torch.full((1, 3, 16, 16), 0.25))
    assert torch.isfinite(exposures).all()
    assert exposures[:, :3].unique().tolist() == pytest.approx([0.033], abs=1 / 255)


def test_unknown_constants_are_refused() -> None:
    with pytest.raises(ValueError, match="lsrw"):
        ExdNet(exposure_constants="lol")


def test_color_affine_is_scaled_matrix_plus_offset() -> None:
    layer = ColorAffine(4)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    features = torch.randn(2, 4, 5, 6, generator=torch.Generator().manual_seed(2))
    mixed = torch.einsum("ij,njhw->nihw", layer.color, features)
    expected = layer.alpha.reshape(1, 4, 1, 1) * mixed + layer.beta.reshape(1, 4, 1, 1)
    torch.testing.assert_close(layer(features), expected)


def test_drop_path_drops_whole_pictures_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    layer = DropPath(0.25)
    scale = torch.ones(1, 2, 1, 1)
    dropped = layer(scale, 4000)
    assert dropped.unique().tolist() == pytest.approx([0, 4 / 3])
    assert torch.equal(dropped[:, 0], dropped[:, 1])
    assert dropped.mean().item() == pytest.approx(1, abs=0.05)
    assert torch.equal(layer.eval()(scale, 4000), scale)


@torch.no_grad()
def test_a_batch_is_as_good_as_its_pictures(lively: ExdNet) -> None:
    images = torch.stack([tensor(dark_scene(name, (48, 56)))[0] for name in ("astronaut", "coffee", "rocket")])
    solo = torch.cat([lively(image[None]) for image in images])
    torch.testing.assert_close(lively(images), solo, atol=1e-5, rtol=0)


@torch.no_grad()
def test_smallest_picture_and_range(lively: ExdNet) -> None:
    side = networks.spec("exdnet").smallest_side
    enhanced = lively(torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(5)))
    assert enhanced.shape == (2, 3, side, side)
    assert enhanced.min() > 0
    assert enhanced.max() <= 1


PARTS: dict[str, Callable[[ExdNet], nn.Module]] = {
    "shared encoding": lambda network: network.conv1,
    "difference fusion": lambda network: network.conv,
    "refinement of the picture": lambda network: network.local_net,
    "refinement of the differences": lambda network: network.local_net_1,
    "scene embedding": lambda network: network.global_net.conv_large,
    "colour queries": lambda network: network.global_net.generator,
    "colour coefficients": lambda network: network.global_net.color_linear,
}


@pytest.mark.parametrize("part", PARTS)
@torch.no_grad()
def test_every_part_takes_part(lively: ExdNet, part: str) -> None:
    image = tensor(dark_scene(size=(48, 64)))
    before = lively(image)
    module = PARTS[part](lively)
    kept = {name: value.clone() for name, value in module.state_dict().items()}
    try:
        for parameter in module.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(7))
        changed = lively(image)
    finally:
        module.load_state_dict(kept)
    assert (changed - before).abs().max() > 1e-3


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@torch.no_grad()
def test_scripted_network_is_the_same(lively: ExdNet) -> None:
    image = tensor(dark_scene(size=(37, 50)))
    torch.testing.assert_close(torch.jit.script(lively)(image), lively(image), atol=1e-6, rtol=0)
