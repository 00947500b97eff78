"""The models that are committed: what their records claim is true of the files that lie there."""

from __future__ import annotations

from pathlib import Path

import pytest

from export import changed_files
from export._parity import FULL_SIZE, LIMIT, SIZES, measure, onnx_runner, torch_runner, torchscript_runner
from export._records import Record, records
from export._repository import restored
from service.repository import ModelRepository

REPOSITORY = Path(__file__).resolve().parents[2] / "model_repository"
RECORDS = records(REPOSITORY)
CHECKED_SIZES = ((64, 96), (101, 75))


def test_the_default_model_is_there_and_every_folder_has_its_records() -> None:
    assert "zero_dce_improved" in [record.name for record in RECORDS]
    assert [record.name for record in RECORDS] == ModelRepository(REPOSITORY).names()


def test_model_files_are_those_that_were_measured() -> None:
    assert changed_files(REPOSITORY) == []


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_reports_cover_every_size_and_stay_within_one_code_value(record: Record) -> None:
    covered = {(row.height, row.width, row.batch, row.against) for row in record.parity.differences}
    for size in (*SIZES, FULL_SIZE):
        assert {(*size, 1, "torch"), (*size, 3, "torch"), (*size, 3, "solo")} <= covered
    assert record.parity.worst.maximum <= LIMIT


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_model_files_compute_what_their_networks_compute(record: Record) -> None:
    content = record.file.read_bytes()
    run = onnx_runner(content) if record.file.suffix == ".onnx" else torchscript_runner(content)
    measure(torch_runner(restored(record)), run, CHECKED_SIZES).require(record.name)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_weights_are_our_own_and_say_what_they_were_trained_on(record: Record) -> None:
    assert record.manifest["training"].get("source") != "published checkpoint"
    notice = (record.folder.parent / "NOTICE").read_text()
    assert "were trained by us on" in notice
    assert "no grant of commercial use" in notice
    assert (record.folder.parent / "MODEL_CARD.md").read_text().startswith(f"# {record.name}\n")
