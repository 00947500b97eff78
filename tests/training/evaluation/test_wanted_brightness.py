"""The exposure that reaches a reference's brightness, and what it is worth against scaling."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.pictures import scene
from training.evaluation import wanted_brightness
from training.evaluation.wanted_brightness import judge_wanted

Pixels = NDArray[np.uint8]


def curve(picture: Pixels, stops: float) -> Pixels:
    """A gamma a stop: what it does, no scaling does."""
    return np.round(255 * (picture / 255) ** 2.0**-stops).astype(np.uint8)


def test_the_exposure_that_made_the_reference_is_found() -> None:
    dark = scene("coffee", (96, 144))
    found = judge_wanted(curve, [(dark, curve(dark, 0.75))])
    assert found.stops == pytest.approx(0.75, abs=0.01)
    assert found.exposed[0] > 45
    assert found.exposed[0] > found.scaled[0] + 10
    assert found.exposed[1] > found.scaled[1]


def test_what_scaling_does_as_well_gains_nothing() -> None:
    dark = scene("coffee", (96, 144)) // 4
    found = judge_wanted(
        lambda picture, stops: np.clip(picture * 2.0**stops, 0, 255).astype(np.uint8), [(dark, 2 * dark)]
    )
    assert found.stops == pytest.approx(1, abs=0.02)
    assert found.exposed[0] <= found.scaled[0]


def test_a_brightness_out_of_reach_gets_the_end_of_the_range() -> None:
    dark = scene("coffee", (96, 144)) // 4
    assert judge_wanted(curve, [(dark, np.full_like(dark, 255))]).stops == pytest.approx(2, abs=0.01)


def test_no_pairs_give_no_numbers() -> None:
    assert np.isnan(judge_wanted(curve, []).exposed[0])


def test_a_missing_model_ends_the_command_with_its_name(
    tmp_path: Path, map_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("low", "high"):
        (tmp_path / "eval15" / folder).mkdir(parents=True)
        Image.fromarray(scene("coffee", (96, 144))).save(tmp_path / "eval15" / folder / "1.png")
    code = wanted_brightness.main([str(tmp_path), "nobody", "--repository", str(map_models / "models")])
    assert code == 2
    assert "nobody" in capsys.readouterr().err
