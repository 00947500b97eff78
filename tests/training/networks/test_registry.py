"""The list of networks, padding, and published checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from training import networks


def test_every_network_says_what_serving_needs() -> None:
    for name in networks.names():
        spec = networks.spec(name)
        assert spec.name == name
        assert spec.spatial_scope in ("local", "global")
        assert spec.multiple >= 1
        assert spec.working_side >= 64
        assert (spec.halo > 0) or spec.spatial_scope == "global"


SMALL: dict[str, dict[str, Any]] = {
    "ded_net": {"width": 8},
    "nightlift": {"width": 6},
    "restorer": {"widths": (8, 12, 16)},
}
"""Options that make a network quick."""


@pytest.mark.parametrize("name", networks.names())
def test_every_network_keeps_the_size_of_what_it_is_shown(name: str) -> None:
    spec = networks.spec(name)
    network = networks.create(name, **SMALL.get(name, {})).eval()
    height, width = (-(-side // spec.multiple) * spec.multiple for side in (24, 40))
    pictures = torch.rand(2, 3, height, width)
    shown = torch.cat([pictures, 0.2 * pictures], dim=1) if spec.takes_answer else pictures
    with torch.inference_mode():
        result = network(shown)
    assert result.shape == pictures.shape
    assert torch.isfinite(result).all()


@pytest.mark.parametrize("name", [name for name in networks.names() if networks.spec(name).map_layout])
def test_every_map_has_the_layout_that_is_declared(name: str) -> None:
    spec = networks.spec(name)
    network = networks.create(name, **SMALL[name]).eval()
    proxy = torch.rand(2, 3, 24, 40)
    with torch.inference_mode():
        coefficients, _ = network.affine(proxy, 0.1 * proxy, None, torch.zeros(2, 1))  # type: ignore[operator]
    assert coefficients.shape == (2, spec.map_layout, 24, 40)
    rendered = network.render(coefficients, torch.rand(2, 3, 50, 70))  # type: ignore[operator]
    assert rendered.shape == (2, 3, 50, 70)


def test_unknown_network_names_the_choice() -> None:
    with pytest.raises(ValueError, match=r"no network 'nope'.*zero_dce"):
        networks.create("nope")


def test_unknown_option_is_named() -> None:
    with pytest.raises(ValueError, match="does not take the options"):
        networks.create("zero_dce", width=3)


@pytest.mark.parametrize(
    ("size", "multiple", "padded"), [((8, 8), 4, (8, 8)), ((9, 6), 4, (12, 8)), ((2, 9), 8, (8, 16))]
)
def test_padding_reaches_the_multiple_and_keeps_the_picture(
    size: tuple[int, int], multiple: int, padded: tuple[int, int]
) -> None:
    image = torch.rand(2, 3, *size)
    result, original = networks.pad_to_multiple(image, multiple)
    assert result.shape[2:] == padded
    assert original == size
    assert torch.equal(result[:, :, : size[0], : size[1]], image)


def test_padding_reflects() -> None:
    image = torch.arange(6.0).reshape(1, 1, 1, 6).expand(1, 1, 6, 6)
    result, _ = networks.pad_to_multiple(image, 8)
    assert result[0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5, 4, 3]


def test_published_weights_may_be_wrapped(tmp_path: Path) -> None:
    state = {f"module.{key}": value for key, value in networks.create("zero_dce_improved").state_dict().items()}
    torch.save({"params": state}, tmp_path / "published.pth")
    checkpoint = networks.load_official(tmp_path / "published.pth")
    assert checkpoint["network"] == "zero_dce_improved"
    networks.create("zero_dce_improved").load_state_dict(checkpoint["state_dict"])


def test_foreign_weights_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.pth"
    torch.save({"layer.weight": torch.zeros(2)}, file)
    with pytest.raises(ValueError, match=r"other\.pth: keys and shapes are not the published weights of any of"):
        networks.load_official(file)
    torch.save([1, 2], file)
    with pytest.raises(ValueError, match="is not a state dict"):
        networks.load_official(file)
    with pytest.raises(FileNotFoundError):
        networks.load_official(tmp_path / "missing.pth")


def test_the_wrong_name_is_refused(tmp_path: Path) -> None:
    torch.save(networks.create("zero_dce").state_dict(), tmp_path / "a.pth")
    with pytest.raises(ValueError, match="published weights of zero_dce_improved"):
        networks.load_official(tmp_path / "a.pth", "zero_dce_improved")
