"""The models that are committed: what their records claim is true of their files, and TorchScript is made of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from export import changed_files
from export._parity import FULL_SIZE, LIMIT, SIZES
from export._records import Record, read_record, records
from export._repository import kept_weights, measured
from tests.both_formats import SCRIPTED, SHIPPED, shipped_map_models, shipped_models
from training.checkpoints import load_checkpoint

RECORDS = [record for record in records(SHIPPED) if not record.name.endswith(SCRIPTED)]
CHECKED_SIZES = ((64, 96), (101, 75))


def test_the_default_model_is_there_and_every_folder_has_its_records() -> None:
    assert "zero_dce_improved" in [record.name for record in RECORDS]
    assert [record.name for record in RECORDS] == sorted((*shipped_models(), *shipped_map_models()))


def test_model_files_are_those_that_were_measured() -> None:
    assert changed_files(SHIPPED) == []


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_reports_cover_every_size_and_stay_within_one_code_value(record: Record) -> None:
    covered = {(row.height, row.width, row.batch, row.against) for row in record.parity.differences}
    for size in (*SIZES, FULL_SIZE):
        assert {(*size, 1, "torch"), (*size, 3, "torch"), (*size, 3, "solo")} <= covered
    assert record.parity.worst.maximum <= LIMIT


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_model_files_compute_what_their_networks_compute(record: Record) -> None:
    measured(record, CHECKED_SIZES).require(record.name)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_torchscript_is_made_of_the_kept_weights(record: Record, both_formats: Path) -> None:
    """Making it has compared it with its network."""
    variant = read_record(both_formats / f"{record.name}{SCRIPTED}" / record.folder.name)
    assert variant.parity.worst.maximum <= LIMIT
    assert {(row.height, row.width) for row in variant.parity.differences} == set(SIZES)
    kept, inside = (load_checkpoint(file)["state_dict"] for file in (kept_weights(record), variant.file))
    assert inside.keys() == kept.keys()
    for name, weight in kept.items():
        assert inside[name].numpy().tobytes() == weight.numpy().tobytes(), name


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_weights_are_our_own_and_say_what_they_were_trained_on(record: Record) -> None:
    assert record.manifest["training"].get("source") != "published checkpoint"
    notice = (record.folder.parent / "NOTICE").read_text()
    assert "We trained the weights on" in notice
    assert "no grant of commercial use" in notice
    assert (record.folder.parent / "MODEL_CARD.md").read_text().startswith(f"# {record.name}\n")
