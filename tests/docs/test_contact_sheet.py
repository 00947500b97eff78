"""The contact sheet shows what the models answer, and keeps other people's photos out of the repository."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from docs import make_contact_sheet as sheets
from service.settings import Settings
from tests.pictures import constant, encoded
from tests.repositories import make_repository


def test_columns_are_input_models_and_reference(tmp_path: Path) -> None:
    settings = Settings(model_repository=make_repository(tmp_path), default_model="brighten", cpu_threads=1)
    (tmp_path / "low").mkdir()
    (tmp_path / "high").mkdir()
    width, height = sheets.CELL
    for number in range(12):
        (tmp_path / f"low/{number:02}.png").write_bytes(encoded(constant(20, (height, width))))
    (tmp_path / "high/00.png").write_bytes(encoded(constant(200, (height, width))))
    rows = sheets.from_folder(tmp_path / "low", tmp_path / "high")
    assert len(rows) == sheets.MAX_PHOTOS
    sheet = np.asarray(sheets.draw(*asyncio.run(sheets.answers(settings, rows, ()))))
    assert sheet.shape[1] == 3 * width + 2 * sheets.GAP
    middle = [width // 2 + column * (width + sheets.GAP) for column in range(3)]
    first, second = (sheet[sheets.TITLE + height // 2 + line * (height + sheets.GAP), middle, 0] for line in range(2))
    assert first[0] == 20
    assert 20 < first[1] <= 40
    assert first[2] == 200
    assert second[2] == 255, "the second has no reference"


def test_a_blind_sheet_shuffles_every_row_and_keeps_the_key() -> None:
    names = ["a", "b", "c"]
    lines = [[constant(0), *(constant(10 * (1 + place)) for place in range(3)), None] for _ in range(8)]
    orders = sheets.shuffle(lines, len(names), seed=1)
    assert len({tuple(order) for order in orders}) > 2
    for line, order in zip(lines, orders, strict=True):
        assert [int(view.max()) for view in line[:-1] if view is not None] == [
            0,
            *(10 * (1 + place) for place in order),
        ]


def test_the_middle_is_shown_at_full_size() -> None:
    picture = constant(20, (300, 400))
    picture[100:200, 150:250] = 200
    sheet = np.asarray(sheets.draw(["only"], [[picture, picture, None]], (100, 100), full_size=True))
    assert (sheet[sheets.TITLE :, :100] == 200).all()


def test_photos_of_others_are_not_written_into_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one.png").write_bytes(encoded(constant(20)))
    monkeypatch.setattr("sys.argv", ["make_contact_sheet", "--photos", str(tmp_path)])
    assert sheets.main() == 2
    assert "only the project's own photos" in capsys.readouterr().err
