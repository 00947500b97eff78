"""DED-Net: parity with the published code, its four feed-forward variants, and that every part takes part."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.pictures import dark_scene
from training import networks
from training.networks._depthwise import DepthwiseConv5x5
from training.networks._guided_restorer import FeedForward
from training.networks.ded_net import DEDNet

PARAMETERS = {"dense": 45_190_696, "dwsep": 4_282_536, "dw35": 1_768_616, "retinexformer": 1_696_616}


def picture(height: int = 24, width: int = 32) -> Tensor:
    return torch.from_numpy(dark_scene(size=(height, width))).permute(2, 0, 1)[None].float() / 255


def small(feed_forward: FeedForward = "dw35") -> DEDNet:
    torch.manual_seed(0)
    return DEDNet(8, feed_forward).eval()


def published_name(name: str) -> str:
    """Our parameter name -> the published one, written down apart from the reading code."""
    for ours, theirs in (
        ("encoder1.body.", "encoder_layers.0.0."),
        ("encoder2.body.", "encoder_layers.1.0."),
        ("encoder1.down.", "encoder_layers.0.1."),
        ("encoder2.down.", "encoder_layers.1.1."),
        ("encoder1.down_illumination.", "encoder_layers.0.2."),
        ("encoder2.down_illumination.", "encoder_layers.1.2."),
        ("decoder2.up.", "decoder_layers.0.0."),
        ("decoder1.up.", "decoder_layers.1.0."),
        ("decoder2.merge.", "decoder_layers.0.1."),
        ("decoder1.merge.", "decoder_layers.1.1."),
        ("decoder2.body.", "decoder_layers.0.2."),
        ("decoder1.body.", "decoder_layers.1.2."),
        (".attention.", ".0."),
        (".feed_forward.net.", ".1.fn.net."),
        (".feed_forward.norm.", ".1.norm."),
    ):
        name = name.replace(ours, theirs)
    return f"body.0.{name}"


def published(network: DEDNet) -> dict[str, Tensor]:
    """The network's weights as its authors' code would save them: projections are linear layers there."""
    state = {published_name(name): value for name, value in network.state_dict().items()}
    linear = ("to_q.weight", "to_k.weight", "to_v.weight", "proj.weight")
    return {name: value[:, :, 0, 0] if name.endswith(linear) else value for name, value in state.items()}


@pytest.mark.parametrize("feed_forward", get_args(FeedForward))
def test_parameter_counts(feed_forward: str) -> None:
    network = networks.create("ded_net", feed_forward=feed_forward)
    assert sum(p.numel() for p in network.parameters()) == PARAMETERS[feed_forward]


def test_parts_have_the_published_sizes() -> None:
    network = DEDNet()
    assert sum(p.numel() for p in network.feat_enhancer.parameters()) == 90_915
    assert sum(p.numel() for p in network.estimator.parameters()) == 10_363


def test_an_unknown_feed_forward_is_refused() -> None:
    with pytest.raises(ValueError, match="must be one of dense, dwsep, dw35, retinexformer"):
        networks.create("ded_net", feed_forward="sparse")


@pytest.mark.parametrize("case", ["crop96x128", "crop101x75"])
def test_the_small_golden_network(shared: Path, case: str) -> None:
    checkpoint = networks.load_official(shared / "golden/weights/dednet_nf8_seeded.pth")
    assert checkpoint["options"] == {"width": 8, "feed_forward": "dense"}
    network = networks.create("ded_net", **checkpoint["options"]).eval()
    network.load_state_dict(checkpoint["state_dict"])
    compare_with_golden(network, shared / f"golden/dednet_nf8_seeded_{case}.npz")


def test_the_full_golden_network(shared: Path, tmp_path: Path) -> None:
    shapes = json.loads((shared / "golden/state_dicts.json").read_text())["dednet_nf40_committed"]
    source = importlib.util.spec_from_file_location("det_fill", shared / "golden/det_fill.py")
    assert source is not None
    assert source.loader is not None
    det_fill = importlib.util.module_from_spec(source)
    source.loader.exec_module(det_fill)
    state = {name: torch.from_numpy(det_fill.det_array(name, shape)) for name, shape in shapes.items()}
    torch.save({"params": {f"module.{name}": value for name, value in state.items()}}, tmp_path / "best.pth")

    checkpoint = networks.load_official(tmp_path / "best.pth")
    assert checkpoint["options"] == {"width": 40, "feed_forward": "dense"}
    network = networks.create("ded_net", **checkpoint["options"]).eval()
    network.load_state_dict(checkpoint["state_dict"])
    compare_with_golden(network, shared / "golden/dednet_nf40_seeded_crop96x128.npz")


def compare_with_golden(network: nn.Module, file: Path) -> None:
    golden = {name: torch.from_numpy(value) for name, value in np.load(file).items()}
    padded, (height, width) = networks.pad_to_multiple(golden["input"], 4)
    assert isinstance(network, DEDNet)
    with torch.no_grad():
        enhanced = network.feat_enhancer(padded)
        _, of_image = network.estimator(padded)
        _, of_brighter = network.estimator(padded + enhanced)
        output = network(padded)[..., :height, :width]
    torch.testing.assert_close(output, golden["output"], rtol=0, atol=1e-5)
    for found, name in ((enhanced, "feat_enhancer"), (of_image, "illu_map"), (of_brighter, "illu_map_new")):
        wanted = golden[name]
        torch.testing.assert_close(found[..., : wanted.shape[2], : wanted.shape[3]], wanted, rtol=0, atol=1e-5)


def test_published_keys_are_those_on_record(shared: Path) -> None:
    on_record = json.loads((shared / "golden/state_dicts.json").read_text())["dednet_nf40_committed"]
    ours = {name: list(value.shape) for name, value in published(DEDNet(40, "dense")).items()}
    assert ours == on_record


@pytest.mark.parametrize("feed_forward", get_args(FeedForward))
def test_a_published_checkpoint_says_its_feed_forward_by_its_shapes(
    tmp_path: Path, feed_forward: FeedForward
) -> None:
    network = small(feed_forward)
    torch.save({"params": published(network)}, tmp_path / "weights.pth")
    checkpoint = networks.load_official(tmp_path / "weights.pth")
    assert checkpoint["network"] == "ded_net"
    assert checkpoint["options"] == {"width": 8, "feed_forward": feed_forward}
    for name, value in network.state_dict().items():
        assert torch.equal(checkpoint["state_dict"][name], value)


def test_several_published_stages_are_refused(tmp_path: Path) -> None:
    state = published(small())
    torch.save({"params": state | {"body.1.estimator.conv1.bias": torch.zeros(8)}}, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match="several stages"):
        networks.load_official(tmp_path / "weights.pth")


def test_one_estimate_of_the_mean_is_the_mean_of_two_estimates() -> None:
    estimator = small().estimator
    image, brighter = picture(), picture().sqrt()
    with torch.no_grad():
        pairs = zip(estimator((image + brighter) / 2), estimator(image), estimator(brighter), strict=True)
        for once, first, second in pairs:
            torch.testing.assert_close(once, (first + second) / 2, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "part",
    [
        "feat_enhancer.e_conv1",
        "feat_enhancer.scale_aware_aggregation.key_conv",
        "feat_enhancer.hexa_conv",
        "estimator.conv2",
        "estimator.depth_conv",
        "denoiser.encoder1.down_illumination",
        "denoiser.encoder2.body.blocks.1.attention.to_k",
        "denoiser.bottleneck.blocks.0.attention.pos_emb",
        "denoiser.decoder1.body.blocks.0.feed_forward",
        "denoiser.mapping",
    ],
)
def test_every_part_takes_part(part: str) -> None:
    network = small()
    for parameter in network.parameters():  # away from the tiny initial weights, so that nothing hides in rounding
        parameter.data.mul_(1.5)
    network.feat_enhancer.fin_conv.bias.data.fill_(0.1)
    image = picture()
    with torch.no_grad():
        before = network(image)
        for parameter in network.get_submodule(part).parameters():
            parameter.mul_(2).add_(0.05)
        after = network(image)
    assert (after - before).abs().max() > 1e-5


def test_the_image_enhancer_never_darkens() -> None:
    network, image = small(), picture()
    with torch.no_grad():
        assert (network.feat_enhancer(image) >= image).all()


def test_a_picture_does_not_depend_on_its_company() -> None:
    network = small()
    first, second = picture(), picture().flip(3).sqrt()
    with torch.no_grad():
        together = network(torch.cat([first, second]))
        torch.testing.assert_close(together, torch.cat([network(first), network(second)]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("feed_forward", get_args(FeedForward))
def test_scripted_equals_eager(feed_forward: FeedForward) -> None:
    network = small(feed_forward)
    scripted = torch.jit.script(network)
    with torch.no_grad():
        for image in (picture(), picture(16, 12)):
            torch.testing.assert_close(scripted(image), network(image), rtol=0, atol=1e-6)


def test_the_quick_depthwise_gradient_is_the_gradient() -> None:
    torch.manual_seed(1)
    layer = DepthwiseConv5x5(6).double()
    image = torch.randn(2, 6, 9, 7, dtype=torch.double, requires_grad=True)
    towards = torch.randn(2, 6, 9, 7, dtype=torch.double)
    quick = torch.autograd.grad(layer(image), (image, layer.weight), towards)
    plain = torch.autograd.grad(F.conv2d(image, layer.weight, padding=2, groups=6), (image, layer.weight), towards)
    for ours, theirs in zip(quick, plain, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_training_and_evaluation_compute_the_same() -> None:
    network, image = small(), picture()
    with torch.no_grad():
        torch.testing.assert_close(network.train()(image), network.eval()(image), rtol=0, atol=1e-6)
