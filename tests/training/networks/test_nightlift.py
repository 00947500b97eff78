"""The house network: told the brightness, shown what the proxy hides; its map is the one that the service applies."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from service.contract import BT601, EVIDENCE_CHANNELS, MapLayout
from service.pictures import Picture, PictureFormat
from service.rendering import NEUTRAL, Detail, finish, plan, prepare
from service.repository import ModelTraits
from tests.map_models import lively_network
from tests.pictures import constant, dark_scene, scene
from training import networks
from training.networks.nightlift import DARKEST, LEVELS, Nightlift, brightness, evidence, light_statistics

WEIGHTS = torch.tensor(BT601).reshape(1, 3, 1, 1)
TRAITS = ModelTraits("nightlift", working_side=256, map_layout=MapLayout.BASE_AND_CLEAN_DETAIL, map_model="other")
GUIDED = replace(NEUTRAL, detail=Detail.GUIDED)


@pytest.fixture(scope="module")
def network() -> Nightlift:
    return lively_network()


def as_tensor(picture: np.ndarray) -> Tensor:
    return torch.tensor(picture).permute(2, 0, 1)[None].float() / (255 if picture.dtype == np.uint8 else 65535)


def shown(picture: np.ndarray, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    image = as_tensor(picture)
    return networks.shrink(image, *size), evidence(image, *size)


def told(value: float) -> Tensor:
    return torch.tensor([[value]])


def slow_evidence(image: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """What a proxy hides of [H, W, 3], pixel by pixel and sample by sample, as its definition says it."""
    rows, columns = size
    height, width = image.shape[:2]
    count = min(4, max(2, min(height // rows, width // columns)))
    result = np.zeros((rows, columns, EVIDENCE_CHANNELS))
    for row in range(rows):
        for column in range(columns):
            greys, finest, colours = [], [], []
            for down in range(count):
                y = (2 * (row * count + down) + 1) * height // (2 * rows * count)
                for across in range(count):
                    x = (2 * (column * count + across) + 1) * width // (2 * columns * count)
                    left, right = image[y, max(x - 1, 0)], image[y, min(x + 1, width - 1)]
                    second = image[y, x] - (left + right) / 2
                    greys.append(image[y, x].mean())
                    finest.append(abs(second.mean()))
                    colours.append((abs(second[0] - second[1]) + abs(second[2] - second[1])) / 2)
            result[row, column] = np.std(greys), np.mean(finest), np.mean(colours)
    return result


@pytest.mark.parametrize(
    ("picture", "proxy"),
    [((17, 40), (16, 24)), ((50, 75), (16, 24)), ((64, 96), (16, 24)), ((150, 96), (16, 16)), ((16, 16), (16, 16))],
)
def test_evidence_is_what_its_definition_says(picture: tuple[int, int], proxy: tuple[int, int]) -> None:
    image = np.random.default_rng(3).random((*picture, 3)).astype(np.float32)
    result = evidence(torch.tensor(image).permute(2, 0, 1)[None], *proxy)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(result, slow_evidence(image.astype(float), proxy), atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_service_measures_the_same_evidence(dtype: type[np.unsignedinteger]) -> None:
    from service.rendering._evidence import evidence as measured

    photo = dark_scene("coffee", (301, 450)).astype(dtype)
    if dtype == np.uint16:
        photo *= 257
    for part, size in ((photo, (168, 256)), (photo, (80, 120)), (photo, (64, 96)), (photo[:16], (16, 256))):
        expected = evidence(as_tensor(part), *size)[0].permute(1, 2, 0).numpy()
        np.testing.assert_allclose(measured(part, size), expected, atol=3e-5)


def test_flat_parts_give_no_evidence_and_texture_does() -> None:
    assert evidence(as_tensor(constant(40, (96, 144))), 16, 24).abs().max() < 1e-6
    grey = np.random.default_rng(0).integers(40, 60, (96, 144, 1)).repeat(3, axis=2).astype(np.uint8)
    deviation, finest, colour = evidence(as_tensor(grey), 16, 24)[0].mean(dim=(1, 2))
    assert deviation > 0.015
    assert finest > 0.015
    assert colour < 1e-6


def test_a_slope_is_no_noise() -> None:
    slope = np.linspace(0, 1, 96, dtype=np.float32)[None, :, None].repeat(64, 0).repeat(3, 2)
    deviation, finest, _ = evidence(torch.tensor(slope).permute(2, 0, 1)[None], 16, 24)[0, :, :, 1:-1]
    assert deviation.min() > 0.005
    assert finest.max() < 1e-6


def test_brightness_is_counted_in_stops() -> None:
    light = torch.full((1, 3, 8, 8), 0.5)
    half = (0.5**2.2 / 2) ** (1 / 2.2)
    assert (brightness(light, WEIGHTS) - brightness(torch.full_like(light, half), WEIGHTS)).item() == pytest.approx(
        1, abs=0.02
    )
    assert brightness(torch.ones(1, 3, 8, 8), WEIGHTS).item() == pytest.approx(0, abs=0.01)
    assert brightness(torch.zeros(1, 3, 8, 8), WEIGHTS).item() == pytest.approx(-19.8, abs=0.01)


def test_light_is_counted_by_levels_of_brightness() -> None:
    steps = torch.arange(LEVELS) / (LEVELS - 1)
    code = float(2 ** (DARKEST * (1 - steps[10])) - 2**DARKEST)
    picture, hidden = torch.full((1, 3, 16, 24), code), torch.zeros(1, 3, 16, 24)
    hidden[:, 0] = 3 / 255
    whole, middle, upper, textured = light_statistics(picture, hidden, WEIGHTS).reshape(4, LEVELS)
    expected = torch.zeros(LEVELS)
    expected[10] = 4.0
    for part in (whole, middle, upper):
        torch.testing.assert_close(part, expected, atol=1e-3, rtol=0)
    torch.testing.assert_close(textured, expected * math.log(4) / 2, atol=1e-3, rtol=0)


def test_light_in_the_middle_and_in_the_upper_half_is_counted_apart() -> None:
    picture, nothing = torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 32, 32)
    picture[:, :, :16] = 1.0
    whole, _, upper, _ = light_statistics(picture, nothing, WEIGHTS).reshape(4, LEVELS)
    torch.testing.assert_close(whole[[0, -1]], torch.tensor([2.0, 2.0]), atol=0.03, rtol=0)
    torch.testing.assert_close(upper[[0, -1]], torch.tensor([0.0, 4.0]), atol=0.03, rtol=0)
    spot = torch.zeros(1, 3, 32, 32)
    spot[:, :, 12:20, 12:20] = 1.0
    whole, middle, _, _ = light_statistics(spot, nothing, WEIGHTS).reshape(4, LEVELS)
    assert middle[-1] > 2 * whole[-1] > 0


def test_parameters_stay_within_the_budget() -> None:
    assert sum(value.numel() for value in networks.create("nightlift").parameters()) <= 600_000


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


def test_shrinking_takes_the_services_area_means() -> None:
    from service.rendering._shrink import shrink

    image = dark_scene("coffee", (101, 75))
    expected = shrink(Picture(image, PictureFormat.PNG), (32, 24)).colour
    result = networks.shrink(as_tensor(image), 32, 24)[0].permute(1, 2, 0).numpy()
    assert np.abs(result - expected).max() < 1e-5


@pytest.mark.parametrize("size", [(16, 16), (24, 40), (40, 24), (168, 256), (56, 8)])
def test_every_proxy_has_a_map_and_pictures_of_a_batch_do_not_see_each_other(
    network: Nightlift, size: tuple[int, int]
) -> None:
    proxy, hidden = torch.rand(3, 3, *size), 0.1 * torch.rand(3, 3, *size)
    with torch.inference_mode():
        together, guesses = network.affine(proxy, hidden, None, torch.tensor([[-1.0], [0.0], [1.0]]))
        alone, guess = network.affine(proxy[2:], hidden[2:], None, told(1.0))
    assert together.shape == (3, 16, *size)
    torch.testing.assert_close(together[2:], alone, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(guesses[2:], guess, rtol=1e-4, atol=1e-5)


def test_the_brighter_it_is_told_the_brighter_the_result(network: Nightlift) -> None:
    picture = dark_scene("astronaut", (168, 256))
    proxy, hidden = shown(picture, (168, 256))
    level = brightness(proxy, WEIGHTS)
    means = []
    with torch.inference_mode():
        for stops in (0.0, 1.0, 2.0, 4.0):
            coefficients, _ = network.affine(proxy, hidden, level + stops)
            means.append(network.render(coefficients, as_tensor(picture)).mean().item())
    assert means[0] < means[1] < means[2] < means[3]
    assert means[3] > 1.2 * means[0]


def test_a_wish_is_told_as_the_guess_and_stops_around_it(network: Nightlift) -> None:
    proxy, hidden = shown(dark_scene("coffee", (168, 256)), (64, 96))
    with torch.inference_mode():
        automatic, guess = network.affine(proxy, hidden, None)
        unwished, _ = network.affine(proxy, hidden, None, told(0.0))
        wished, again = network.affine(proxy, hidden, None, told(1.5))
        expected, _ = network.affine(proxy, hidden, guess + 1.5)
    torch.testing.assert_close(automatic, unwished)
    torch.testing.assert_close(wished, expected)
    torch.testing.assert_close(guess, again)
    assert (wished - automatic).abs().max() > 0.01


def test_without_training_it_changes_nothing_when_told_the_brightness_that_there_is() -> None:
    network = still()
    picture = scene("coffee", (64, 96))
    proxy, hidden = shown(picture, (64, 96))
    with torch.inference_mode():
        coefficients, _ = network.affine(proxy, hidden, brightness(proxy, WEIGHTS))
        result = network.render(coefficients, as_tensor(picture))
    assert (result - as_tensor(picture)).abs().max() < 0.005


def test_evidence_counts_unless_it_is_switched_off() -> None:
    proxy, hidden = shown(dark_scene("coffee", (300, 450)), (64, 96))
    for evident in (True, False):
        network = lively_network(with_evidence=evident)
        with torch.inference_mode():
            seen, blind = (network.affine(proxy, part, told(-3.0))[0] for part in (hidden, torch.zeros_like(hidden)))
        assert (torch.equal(seen, blind)) is not evident


def test_attention_lets_one_corner_see_the_other() -> None:
    """What lies in a far corner changes what is predicted here; statistics of the whole picture are switched off."""
    proxy = torch.full((1, 3, 192, 256), 0.3)
    other = proxy.clone()
    other[..., -32:, -32:] = 0.9
    reach = {}
    for blocks in (0, 2):
        network = lively_network(attention_blocks=blocks)
        for layer in (network.to_coarse, network.to_middle):
            nn.init.zeros_(layer.weight)
        seen: list[Tensor] = []
        network.head.register_forward_hook(lambda module, inputs, output, seen=seen: seen.append(output))
        with torch.inference_mode():
            for one in (proxy, other):
                network.affine(one, torch.zeros_like(one), told(-3.0))
        reach[blocks] = (seen[0] - seen[1])[..., :16, :16].abs().max().item()
    assert reach[0] == 0
    assert reach[2] > 1e-5


@pytest.mark.parametrize(("exposure", "detail_gain"), [(0.0, 1.5), (1.5, 1.5), (0.0, 0.0)])
@pytest.mark.parametrize("size", [(168, 256), (200, 300), (400, 600), (900, 1200)])
def test_the_service_renders_as_the_network_does(size: tuple[int, int], exposure: float, detail_gain: float) -> None:
    """Within a code value, but for the few values whose evidence lies at a step."""
    network, picture = lively_network(detail_gain=detail_gain), dark_scene("coffee", size)
    options = replace(GUIDED, exposure=exposure)
    prepared = prepare(Picture(picture, PictureFormat.PNG), plan(size[1], size[0], 8, TRAITS, options))
    (inputs,) = prepared.inputs()
    proxy, hidden = (torch.tensor(inputs[name]).permute(0, 3, 1, 2) for name in ("proxy", "evidence"))
    image = as_tensor(picture)
    with torch.inference_mode():
        answer, _ = network.affine(proxy, hidden, None, torch.tensor(inputs["exposure"]))
        rows, columns = networks.proxy_size(*size, 256)
        own, _ = network.affine(
            networks.shrink(image, rows, columns), evidence(image, rows, columns), None, told(exposure)
        )
        ours = 255 * network.render(own, image)[0].permute(1, 2, 0).clamp(0, 1).numpy()
        if not exposure:
            automatic = 255 * network(image)[0].permute(1, 2, 0).clamp(0, 1).numpy()
            np.testing.assert_allclose(automatic, ours, atol=1e-3)
    served = finish(prepared, [answer.permute(0, 2, 3, 1).numpy()[0]], options).picture.pixels.astype(float)
    assert np.abs(ours - picture).mean() > 3
    # Of a large picture the service looks at a part of the pixels for noise.
    assert np.abs(served - ours).mean() < 0.6
    if max(size) <= 1000:
        assert (np.abs(served - ours) > 1).mean() < 0.001


def still(**options: object) -> Nightlift:
    """A network whose last layers predict nothing, so that their biases alone decide."""
    network = networks.create("nightlift", width=8, **options)
    assert isinstance(network, Nightlift)
    for last in (network.light, network.head):
        nn.init.zeros_(last.weight)
    return network


def map_of(network: Nightlift, proxy: Tensor) -> Tensor:
    """The map of a proxy that hides nothing, as bright as it is."""
    with torch.inference_mode():
        return network.affine(proxy, torch.zeros_like(proxy), brightness(proxy, WEIGHTS))[0]


def test_pooling_takes_texture_from_luminance_alone() -> None:
    """At full pooling, noise in the blue channel alone moves all channels alike, and little."""
    network = still()
    nn.init.constant_(network.head.bias[28:32], 20.0)  # the eighth term of each of four pixels
    image = torch.full((1, 3, 64, 96), 0.4)
    image[:, 2] += 0.1 * torch.randn(64, 96)
    matrix = map_of(network, image)[0, 6:15].reshape(3, 3, 64, 96)
    assert torch.allclose(matrix[0], matrix[1], atol=1e-4)
    assert torch.allclose(matrix[:, 2], torch.full((3, 64, 96), 0.114), atol=0.002)


@pytest.mark.parametrize("bias", [-3.0, 0.5])
def test_smoothing_is_the_exponent_of_contrast_and_touches_nothing_else(bias: float) -> None:
    maps = []
    for smoothing in (1.0, 0.5, 0.0):
        network = still(smoothing=smoothing)
        with torch.no_grad():
            network.head.bias.zero_()
            network.head.bias[4 * 6 : 4 * 7] = bias
            network.head.bias[4 * 7 :] = -20.0  # nothing is pooled
        maps.append(map_of(network, torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))))
    contrast = 1.25 / (1 + math.exp(-bias - 1.4))
    for coefficients, power in zip(maps, (1.0, 0.5, 0.0), strict=True):
        torch.testing.assert_close(coefficients[:, :6], maps[0][:, :6])
        torch.testing.assert_close(coefficients[:, 6], torch.full((1, 32, 48), contrast**power))


def test_detail_gain_limits_what_clean_texture_gets_and_touches_nothing_else() -> None:
    plain, wanted = (lively_network(detail_gain=limit) for limit in (0.0, 1.6))
    proxy, hidden = shown(dark_scene("coffee", (168, 256)), (168, 256))
    with torch.inference_mode():
        without, limited = (one.affine(proxy, hidden, told(-3.0))[0] for one in (plain, wanted))
    torch.testing.assert_close(without[:, :15], limited[:, :15])
    assert without[:, 15].abs().max() == 0
    assert 1 <= limited[:, 15].min() < limited[:, 15].max() <= 1.6 + 1e-5


def test_clean_texture_gets_no_more_than_before_where_nothing_is_brightened() -> None:
    clear = map_of(still(detail_gain=2.0), torch.rand(1, 3, 32, 48))[:, 15]
    torch.testing.assert_close(clear, torch.ones_like(clear))


@pytest.mark.parametrize(
    ("option", "value"), [("smoothing", 1.5), ("smoothing", -0.1), ("detail_gain", 0.5), ("detail_gain", 3.5)]
)
def test_options_out_of_range_are_refused(option: str, value: float) -> None:
    with pytest.raises(ValueError, match=option):
        networks.create("nightlift", **{option: value})


def test_names_and_shapes_of_weights_stay() -> None:
    """Trainings go on from them, and files are read by them."""
    state = networks.create("nightlift").state_dict()
    assert len(state) == 66
    assert tuple(state["stem.weight"].shape) == (24, 40, 3, 3)
    assert tuple(state["attention.1.queries.weight"].shape) == (288, 96)
    assert tuple(state["to_sixteenth.weight"].shape) == (96, 1, 3, 3)
    assert tuple(state["context.weight"].shape) == (96, 195)
