"""DRGN: its size, its data flow, and that both generators take part at every scale."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.pictures import dark_scene
from training import networks
from training.networks.drgn import DRGN


def picture(height: int = 24, width: int = 32) -> Tensor:
    return torch.from_numpy(dark_scene(size=(height, width))).permute(2, 0, 1)[None].float() / 255


def small() -> DRGN:
    torch.manual_seed(0)
    return DRGN(8).eval()


def test_parameter_count() -> None:
    network = networks.create("drgn")
    assert sum(p.numel() for p in network.parameters()) == 1_914_854


def test_the_result_is_what_refinement_makes_of_the_base() -> None:
    network, image = small(), picture()
    with torch.no_grad():
        base = image - network.degradation(image)
        refined = base + network.refinement_generator(base)
        assert torch.equal(network(image), refined)


def test_the_degradation_is_signed() -> None:
    with torch.no_grad():
        degradation = small().degradation(picture())
    assert degradation.min() < 0 < degradation.max()


@pytest.mark.parametrize("generator", ["degradation_generator", "refinement_generator"])
@pytest.mark.parametrize(
    "part",
    [
        "shallow_quarter",
        "groups.0.at_quarter",
        "groups.1.at_half.blocks.2.gate",
        "groups.2.at_full",
        "quarter_to_half",
        "fuse_full",
        "decoder",
    ],
)
def test_every_part_of_both_generators_takes_part(generator: str, part: str) -> None:
    network, image = small(), picture()
    with torch.no_grad():
        before = network(image)
        for parameter in network.get_submodule(f"{generator}.{part}").parameters():
            parameter.mul_(2).add_(0.05)
        after = network(image)
    assert (after - before).abs().max() > 1e-5


def test_a_picture_does_not_depend_on_its_company() -> None:
    network = small()
    first, second = picture(), picture().flip(3).sqrt()
    with torch.no_grad():
        together = network(torch.cat([first, second]))
        torch.testing.assert_close(together, torch.cat([network(first), network(second)]), rtol=0, atol=1e-6)


def test_scripted_equals_eager() -> None:
    network = small()
    scripted = torch.jit.script(network)
    with torch.no_grad():
        for image in (picture(), picture(8, 40)):
            torch.testing.assert_close(scripted(image), network(image), rtol=0, atol=1e-6)
