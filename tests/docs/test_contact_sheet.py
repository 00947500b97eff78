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
    assert len(rows) == sheets.MOST_PHOTOS
    sheet = np.asarray(asyncio.run(sheets.make(settings, rows, ())))
    assert sheet.shape[1] == 3 * width + 2 * sheets.GAP
    middle = [width // 2 + column * (width + sheets.GAP) for column in range(3)]
    first, second = (sheet[sheets.TITLE + height // 2 + line * (height + sheets.GAP), middle, 0] for line in range(2))
    assert first[0] == 20
    assert 20 < first[1] <= 40
    assert first[2] == 200
    assert second[2] == 255, "the second has no reference"


def test_photos_of_others_are_not_written_into_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one.png").write_bytes(encoded(constant(20)))
    monkeypatch.setattr("sys.argv", ["make_contact_sheet", "--photos", str(tmp_path)])
    assert sheets.main() == 2
    assert "only the project's own photos" in capsys.readouterr().err
