"""The house network: its map is the one that the service applies, and it begins by changing nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from service.contract import MapLayout
from service.pictures import Picture, PictureFormat
from service.rendering import NEUTRAL, Detail, RenderOptions, render_array
from service.repository import ModelTraits
from tests.pictures import dark_scene
from training import networks
from training.networks.nightlift import Nightlift

TRAITS = ModelTraits("nightlift", working_side=256, map_layout=MapLayout.BASE_AND_CLEAN_DETAIL)


@pytest.fixture(scope="module")
def network() -> Nightlift:
    """A small one with random weights, strong enough for a lively map."""
    torch.manual_seed(5)
    built = networks.create("nightlift", width=6)
    assert isinstance(built, Nightlift)
    for last in (built.light, built.head):
        nn.init.normal_(last.weight, 0.0, 0.1)
    return built.eval()


def as_tensor(picture: np.ndarray) -> Tensor:
    return torch.tensor(picture).permute(2, 0, 1)[None].float() / 255


def test_parameters_stay_within_the_budget() -> None:
    assert sum(value.numel() for value in networks.create("nightlift").parameters()) <= 200_000


@pytest.mark.parametrize("size", [(16, 16), (101, 75), (37, 50), (16, 120), (400, 16), (300, 450)])
def test_any_size_passes(network: Nightlift, size: tuple[int, int]) -> None:
    image = torch.rand(2, 3, *size)
    with torch.inference_mode():
        assert network(image).shape == image.shape


@pytest.mark.parametrize(
    "size", [(400, 600), (3000, 4000), (4000, 3000), (24, 40), (512, 512), (1600, 2000), (100, 900), (16, 4000)]
)
def test_the_proxy_is_the_services_own(size: tuple[int, int]) -> None:
    """For aspect ratios that guided rendering does not snap to another."""
    from service.rendering._plan import proxy_shape

    assert networks.proxy_size(*size, 256) == proxy_shape(size[1], size[0], 256)


def test_a_proxy_passes_as_it_is() -> None:
    proxy = torch.randint(0, 256, (1, 3, 168, 256)) / 255
    network = networks.create("nightlift")
    assert torch.allclose(network.make_proxy(proxy), proxy, atol=1e-6)  # type: ignore[operator]


def test_shrinking_takes_the_services_area_means() -> None:
    from service.rendering._shrink import shrink

    image = dark_scene("coffee", (101, 75))
    expected = shrink(Picture(image, PictureFormat.PNG), (32, 24)).colour
    result = networks.shrink(as_tensor(image), 32, 24)[0].permute(1, 2, 0).numpy()
    assert np.abs(result - expected).max() < 1e-5


@pytest.mark.parametrize("detail_gain", [0.0, 1.5])
@pytest.mark.parametrize("size", [(200, 300), (168, 256), (400, 600), (900, 1200), (1600, 1600)])
def test_the_service_applies_the_map_as_the_network_does(
    network: Nightlift, size: tuple[int, int], detail_gain: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "detail_gain", detail_gain)
    image = dark_scene("coffee", size)

    def predict(pictures: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network.affine(as_tensor(pictures[0])).permute(0, 2, 3, 1).numpy()

    options = RenderOptions(detail=Detail.GUIDED, strength=1, protect=0, gate=False)
    assert options == NEUTRAL.__class__(**{**vars(NEUTRAL), "detail": Detail.GUIDED})
    served = render_array(image, predict, TRAITS, options).astype(float)
    with torch.inference_mode():
        ours = 255 * network(as_tensor(image))[0].permute(1, 2, 0).clamp(0, 1).numpy()
    assert np.abs(ours - image).mean() > 2
    if detail_gain and max(size) > 1000:  # of so large a picture the service looks at a part of the pixels for noise
        assert np.abs(served - ours).mean() < 0.6
    else:
        assert np.abs(served - ours).max() < 1


def test_without_training_grey_pictures_stay_as_they_are() -> None:
    network = networks.create("nightlift", width=6)
    for last in (network.light, network.head):
        nn.init.zeros_(last.weight)
    image = torch.rand(1, 1, 64, 96).expand(1, 3, 64, 96)
    with torch.inference_mode():
        assert (network(image) - image).abs().max() < 0.005


def test_pooling_takes_texture_from_luminance_alone() -> None:
    """At full pooling, noise in the blue channel alone moves all channels alike, and little."""
    network = networks.create("nightlift", width=6)
    for last in (network.light, network.head):
        nn.init.zeros_(last.weight)
    nn.init.constant_(network.head.bias[28:32], 20.0)  # the eighth term of each of four pixels
    image = torch.full((1, 3, 64, 96), 0.4)
    image[:, 2] += 0.1 * torch.randn(64, 96)
    with torch.inference_mode():
        result = network.affine(image)[0]
    matrix = result[6:15].reshape(3, 3, 64, 96)
    assert torch.allclose(matrix[0], matrix[1], atol=1e-4)
    assert torch.allclose(matrix[:, 2], torch.full((3, 64, 96), 0.114), atol=0.002)


def test_without_pooling_the_map_mixes_no_colours() -> None:
    network = networks.create("nightlift", width=6, pooled=False)
    with torch.inference_mode():
        matrix = network.affine(torch.rand(1, 3, 32, 48))[0, 6:15].reshape(3, 3, 32, 48)
    off_diagonal = matrix[~torch.eye(3, dtype=torch.bool)]
    assert off_diagonal.abs().max() == 0


@pytest.mark.parametrize("bias", [-3.0, 0.5])
def test_smoothing_is_the_exponent_of_contrast_and_touches_nothing_else(bias: float) -> None:
    maps = []
    for smoothing in (1.0, 0.5, 0.0):
        network = networks.create("nightlift", width=6, pooled=False, smoothing=smoothing)
        for last in (network.light, network.head):  # type: ignore[attr-defined]
            nn.init.zeros_(last.weight)
        with torch.no_grad():
            network.head.bias.zero_()  # type: ignore[attr-defined]
            network.head.bias[4 * 6 : 4 * 7] = bias  # type: ignore[attr-defined]
        with torch.inference_mode():
            maps.append(network.affine(torch.rand(1, 3, 32, 48)))  # type: ignore[operator]
    contrast = 1.25 / (1 + math.exp(-bias - 1.4))
    for coefficients, power in zip(maps, (1.0, 0.5, 0.0), strict=True):
        torch.testing.assert_close(coefficients[:, :6], maps[0][:, :6])
        torch.testing.assert_close(coefficients[:, 6], torch.full((1, 32, 48), contrast**power))


@pytest.mark.parametrize("smoothing", [-0.1, 1.5, "much"])
def test_smoothing_out_of_range_is_refused(smoothing: object) -> None:
    with pytest.raises(ValueError, match="smoothing"):
        networks.create("nightlift", smoothing=smoothing)


def test_crispness_bounds_what_clean_texture_gets_and_touches_nothing_else(network: Nightlift) -> None:
    crisp = networks.create("nightlift", width=6, detail_gain=1.6)
    crisp.load_state_dict(network.state_dict())
    picture = as_tensor(dark_scene("coffee", (168, 256)))
    with torch.inference_mode():
        plain, wanted = network.affine(picture), crisp.affine(picture)  # type: ignore[operator]
    torch.testing.assert_close(plain[:, :15], wanted[:, :15])
    assert plain[:, 15].abs().max() == 0
    assert 1 <= wanted[:, 15].min() < wanted[:, 15].max() <= 1.6 + 1e-5


def test_clean_texture_gets_no_more_than_before_where_nothing_is_brightened() -> None:
    crisp = networks.create("nightlift", width=6, detail_gain=2.0)
    for last in (crisp.light, crisp.head):  # type: ignore[attr-defined]
        nn.init.zeros_(last.weight)
    with torch.inference_mode():
        clear = crisp.affine(torch.rand(1, 3, 32, 48))[:, 15]  # type: ignore[operator]
    torch.testing.assert_close(clear, torch.ones_like(clear))


@pytest.mark.parametrize("detail_gain", [-1.0, 0.5, 3.5])
def test_crispness_is_none_or_a_factor(detail_gain: float) -> None:
    with pytest.raises(ValueError, match="detail_gain"):
        networks.create("nightlift", detail_gain=detail_gain)


def test_weights_keep_the_names_that_files_have(network: Nightlift) -> None:
    saved = network.state_dict()
    assert {name for name in saved if name.startswith("scene.")} == {
        f"scene.{layer}.{kind}" for layer in ("read", "tell") for kind in ("weight", "bias")
    }
    own = {name: torch.randn_like(weight) for name, weight in network.named_parameters()}
    for state in (own, {**saved, "scene.read.bias": own["context.summarise.bias"]}):
        again = networks.create("nightlift", width=6)
        again.load_state_dict(state)
        torch.testing.assert_close(again.get_parameter("context.summarise.bias"), own["context.summarise.bias"])


def test_the_former_name_of_an_option_is_understood_with_a_warning() -> None:
    with pytest.warns(DeprecationWarning, match="crispness of nightlift is now detail_gain"):
        assert networks.create("nightlift", width=6, crispness=1.5).detail_gain == 1.5
