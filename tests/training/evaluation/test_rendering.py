"""The tables and the sheet of crops, on networks whose scores are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests import pictures
from tests.service.rendering.networks import BLURRING, POINTWISE, Network, blurring, curve, identity
from training.evaluation import rendering
from training.evaluation._models import EvaluatedModel

DARK = pictures.dark_scene("astronaut", (120, 180))


def model(run: Network, traits=POINTWISE) -> EvaluatedModel:  # type: ignore[no-untyped-def]
    return EvaluatedModel("a", run, traits, Path("a.onnx"))


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("| ").split("|")]


def test_guided_against_whole() -> None:
    doubling = model(curve(lambda value: 2 * value))
    bright = rendering.render(doubling, DARK, rendering.Detail.WHOLE)
    name, side, to_whole, whole, guided = cells(rendering.guided_against_whole(doubling, [(DARK, bright)]))
    assert (name, side) == ("`a`", "256")
    assert whole == "inf / 1.000"
    assert to_whole == guided
    assert float(guided.split(" / ")[0]) > 30


@pytest.mark.parametrize(("halo", "exact"), [(7, True), (3, False)])
def test_tiles_against_whole(halo: int, exact: bool) -> None:
    picture = pictures.dark_scene("coffee", (300, 420))
    row = rendering.tiles_against_whole(model(blurring, replace(BLURRING, halo=halo)), [(picture, picture)])
    assert (cells(row)[1:] == ["0", "0.0000 %"]) is exact


def test_by_sides() -> None:
    pair = (DARK, DARK)
    columns = cells(rendering.by_working_side(model(identity), [pair], (64, 180)))
    assert [float(column.split(" / ")[1]) > 0.95 for column in columns[1:]] == [True, True]
    columns = cells(rendering.by_picture_side(model(identity), [pair], (64, 180)))
    assert [column.split(" / ")[0] for column in columns[1:]] == ["inf", "inf"]


def test_the_sheet_has_a_row_a_crop_and_two_columns_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "CROP", 50)
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), cv2.cvtColor(DARK, cv2.COLOR_RGB2BGR))
    sheet = rendering.crop_sheet([model(identity), model(curve(lambda value: 3 * value))], [photo], crops=2)
    assert sheet.shape == (100, 250, 3)
    assert np.array_equal(sheet[:, :50], sheet[:, 100:150])  # the photo, and whole by what changes nothing
