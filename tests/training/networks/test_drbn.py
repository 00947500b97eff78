"""DRBN: parity with the released code in both stages, and that every part takes part."""

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
from training.discriminators import SortedColorDiscriminator
from training.networks.drbn import BandRecomposition, Drbn, DrbnPerceptual, split_details

CASES = ("crop96x128", "crop101x75")
STAGE1, STAGE2 = "golden/weights/drbn_stage1_model_s1.pt", "golden/weights/drbn_stage2_model_R_s2.pt"


def tensor(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255


def shapes(state: dict[str, Tensor]) -> dict[str, list[int]]:
    return {key: list(value.shape) for key, value in state.items()}


@pytest.fixture(scope="module")
def fresh() -> DrbnPerceptual:
    torch.manual_seed(0)
    return DrbnPerceptual().eval()


@pytest.fixture(scope="module")
def released(shared: Path) -> DrbnPerceptual:
    checkpoint = networks.load_official([shared / STAGE2, shared / STAGE1])
    network = DrbnPerceptual().eval()
    network.load_state_dict(checkpoint["state_dict"])
    return network


def test_parameter_counts_are_the_released_ones() -> None:
    assert sum(parameter.numel() for parameter in Drbn().parameters()) == 557_668
    assert sum(parameter.numel() for parameter in DrbnPerceptual().parameters()) == 576_829


def test_keys_and_shapes_are_the_released_ones(shared: Path) -> None:
    released = json.loads((shared / "golden/state_dicts.json").read_text())
    assert shapes(Drbn().state_dict()) == released["drbn_stage1"]
    assert shapes(BandRecomposition().state_dict()) == released["drbn_stage2_recompose"]
    assert shapes(SortedColorDiscriminator().state_dict()) == released["drbn_stage2_discriminator"]


def test_released_files_are_recognised(shared: Path) -> None:
    assert networks.load_official(shared / STAGE1)["network"] == "drbn"
    assert networks.load_official([shared / STAGE1, shared / STAGE2])["network"] == "drbn_perceptual"
    with pytest.raises(ValueError, match="not the published weights"):
        networks.load_official(shared / STAGE2)


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_both_stages_match_golden(shared: Path, released: DrbnPerceptual, case: str) -> None:
    golden = np.load(shared / f"golden/drbn_{case}.npz")
    image, (height, width) = networks.pad_to_multiple(torch.from_numpy(golden["input"]), 4)
    bands = released.stage1.bands(image)
    weights = released.recompose.weights(image, split_details(bands)).split(3, dim=1)
    results = {
        "output": bands[0][:, :, :height, :width],
        "band_s2": bands[1],
        "band_s4": bands[2],
        "w1": weights[0],
        "w2": weights[1],
        "w3": weights[2],
        "stage2_output": released(image)[:, :, :height, :width],
    }
    for name, result in results.items():
        np.testing.assert_allclose(result.numpy(), golden[name], atol=1e-5, err_msg=name)


@torch.no_grad()
def test_weights_of_one_give_back_stage_1(fresh: DrbnPerceptual) -> None:
    image = tensor(dark_scene(size=(32, 48)))
    recompose = BandRecomposition().eval()
    recompose.UPNet2.weight.zero_()
    recompose.UPNet2.bias.fill_(0.5)  # 0.8 * 0.5 + 0.6 = 1
    bands = fresh.stage1.bands(image)
    torch.testing.assert_close(recompose(image, bands), bands[0], atol=1e-6, rtol=0)


@torch.no_grad()
def test_bands_have_three_scales_and_forward_is_the_finest(fresh: DrbnPerceptual) -> None:
    image = tensor(dark_scene(size=(24, 36)))
    bands = fresh.stage1.bands(image)
    assert [tuple(band.shape[2:]) for band in bands] == [(24, 36), (12, 18), (6, 9)]
    assert torch.equal(fresh.stage1(image), bands[0])


PARTS: dict[str, Callable[[DrbnPerceptual], nn.Module]] = {
    "recurrence 1": lambda network: network.stage1.recur1,
    "recurrence 2": lambda network: network.stage1.recur2,
    "recurrence 3": lambda network: network.stage1.recur3,
    "recurrence 4": lambda network: network.stage1.recur4,
    "recomposition": lambda network: network.recompose,
}


@pytest.mark.parametrize("part", PARTS)
@torch.no_grad()
def test_every_part_takes_part(fresh: DrbnPerceptual, part: str) -> None:
    image = tensor(dark_scene(size=(24, 32)))
    before = fresh(image)
    module = PARTS[part](fresh)
    kept = {name: value.clone() for name, value in module.state_dict().items()}
    try:
        for parameter in module.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(7))
        changed = fresh(image)
    finally:
        module.load_state_dict(kept)
    assert (changed - before).abs().max() > 1e-3


@pytest.mark.parametrize("scale", [0, 1, 2])
@torch.no_grad()
def test_memory_reaches_the_next_run_at_every_scale(fresh: DrbnPerceptual, scale: int) -> None:
    image = tensor(dark_scene(size=(24, 32)))
    bands, memory = fresh.stage1.recur1(image, image)
    disturbed = list(memory)
    disturbed[scale] = disturbed[scale] + 1
    unit = fresh.stage1.recur2
    plain = unit(bands[0], image, memory)[0][scale]
    changed = unit(bands[0], image, (disturbed[0], disturbed[1], disturbed[2]))[0][scale]
    assert (changed - plain).abs().max() > 1e-3


@torch.no_grad()
def test_a_batch_is_as_good_as_its_pictures(fresh: DrbnPerceptual) -> None:
    images = torch.stack([tensor(dark_scene(name, (32, 40)))[0] for name in ("astronaut", "coffee", "rocket")])
    solo = torch.cat([fresh(image[None]) for image in images])
    torch.testing.assert_close(fresh(images), solo, atol=1e-5, rtol=0)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@torch.no_grad()
def test_scripted_network_is_the_same(fresh: DrbnPerceptual) -> None:
    image = tensor(dark_scene(size=(32, 40)))
    torch.testing.assert_close(torch.jit.script(fresh)(image), fresh(image), atol=1e-6, rtol=0)
