"""Layouts of photographs with masks, and of answers of models beside their photos."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.pictures import constant, encoded
from training.datasets import find_samples
from training.datasets.answers import COLUMNS, TABLE


@pytest.fixture
def objects(tmp_path: Path) -> Path:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        for number in range(11):
            (tmp_path / folder / f"{number:02}.png").write_bytes(encoded(constant(number, (16, 16))))
    return tmp_path


def test_a_fifth_of_the_photographs_is_for_tests(objects: Path) -> None:
    test, train = (find_samples("objects", objects, split) for split in ("test", "train"))
    assert [sample.name for sample in test] == ["00", "05", "10"]
    assert len(train) == 8
    assert not {sample.name for sample in test} & {sample.name for sample in train}
    assert test[1].files == {"image": objects / "images/05.png", "mask": objects / "masks/05.png"}


def test_a_photograph_without_a_mask_is_named(objects: Path) -> None:
    (objects / "masks" / "07.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"07\.png has no mask"):
        find_samples("objects", objects, "train")


def table(root: Path, rows: list[tuple[str, ...]]) -> Path:
    with (root / TABLE).open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return root


def test_every_tenth_scene_of_photographs_is_for_tests(tmp_path: Path) -> None:
    rows = [
        (
            f"{scene}__{copy}",
            f"photos/{scene}",
            *(f"{scene}__{copy}.{part}.png" for part in ("low", "answer", "high")),
        )
        for scene in "abcdefghijkl"
        for copy in range(2)
    ]
    table(tmp_path, rows)
    test, train = (find_samples("answers", tmp_path, split) for split in ("test", "train"))
    assert {sample.scene for sample in test} == {"a", "k"}
    assert len(test) == 4
    assert len(train) == 20
    assert test[0].files["answer"] == tmp_path / "a__0.answer.png"
    assert test[0].shows == frozenset({"photos/a", f"{tmp_path.name}/a"})


def test_answers_to_rooms_are_all_for_training_and_keep_their_files(tmp_path: Path) -> None:
    rows = [(f"{n}", f"LOLv1/{n}", f"/data/low/{n}.png", f"{n}__model.png", f"/data/high/{n}.png") for n in range(12)]
    table(tmp_path, rows)
    samples = find_samples("answers", tmp_path, "train")
    assert len(samples) == 12
    assert samples[0].files == {
        "low": Path("/data/low/0.png"),
        "answer": tmp_path / "0__model.png",
        "high": Path("/data/high/0.png"),
    }
    with pytest.raises(FileNotFoundError, match="no pictures in the layout 'answers', split 'test'"):
        find_samples("answers", tmp_path, "test")


def test_a_folder_without_a_table_says_what_writes_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"answers\.csv; `python -m training\.answers` writes it"):
        find_samples("answers", tmp_path, "train")
