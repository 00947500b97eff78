"""Each publisher's layout, on tiny copies made here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.pictures import constant, encoded
from training.datasets import find_samples, hold_out, read_picture

DARK, BRIGHT = 20, 200

LAYOUTS: dict[str, dict[str, Sequence[str]]] = {
    "lolv1": {
        "train": ["our485/low/2.png", "our485/high/2.png", "our485/low/10.png", "our485/high/10.png"],
        "test": ["eval15/low/1.png", "eval15/high/1.png"],
    },
    "lolv2_real": {
        "train": ["Real_captured/Train/Low/low00001.png", "Real_captured/Train/Normal/normal00001.png"],
        "test": ["Real_captured/Test/Low/low00690.png", "Real_captured/Test/Normal/normal00690.png"],
    },
    "lolv2_synthetic": {
        "train": ["Synthetic/Train/Low/r000da54ft.png", "Synthetic/Train/Normal/r000da54ft.png"],
        "test": ["Synthetic/Test/Low/r01.png", "Synthetic/Test/Normal/r01.png"],
    },
    "lsrw": {
        "train": [
            f"Training data/{camera}/{side}/1.jpg" for camera in ("Huawei", "Nikon") for side in ("low", "high")
        ],
        "test": [f"Eval/{camera}/{side}/7.jpg" for camera in ("Huawei", "Nikon") for side in ("low", "high")],
    },
    "lsrw_huawei": {
        "train": ["Training data/Huawei/low/1.jpg", "Training data/Huawei/high/1.jpg"],
        "test": ["Eval/Huawei/low/7.jpg", "Eval/Huawei/high/7.jpg"],
    },
    "lsrw_nikon": {
        "train": ["Training data/Nikon/low/1.jpg", "Training data/Nikon/high/1.jpg"],
        "test": ["Eval/Nikon/low/7.jpg", "Eval/Nikon/high/7.jpg"],
    },
    "rellisur": {
        "train": ["Train/LLLR/00001-2.5.png", "Train/LLLR/00001-4.0.png", "Train/NLHR/X1/00001.png"],
        "test": ["Test/LLLR/00800-3.5.png", "Test/NLHR/X1/00800.png"],
    },
    "drbn": {
        "train": ["Our_low/low00001.png", "Our_normal/normal00001.png"],
        "test": ["Our_low_test/low00690.png", "Our_normal_test/normal00690.png"],
    },
    "drbn_degraded": {"train": ["Low_degraded/a.png", "Normal/a.png"]},
    "lol1000": {"test": ["LOL1000/input/1.png", "LOL1000/target/1.png"]},
    "test148": {"test": ["TEST148/input/1.png", "TEST148/target/1.png"]},
    "voc144": {"test": ["VOC144/input/1.png", "VOC144/target/1.png"]},
    "pairs": {
        "train": ["train/low/a.webp", "train/high/a.png"],
        "test": ["test/low/b.png", "test/high/b.png"],
    },
}
CASES = [(layout, split) for layout, splits in LAYOUTS.items() for split in splits]
DARK_FOLDERS = ("low", "Low", "LLLR", "Our_low", "Our_low_test", "Low_degraded", "input")


def write(root: Path, files: Sequence[str]) -> None:
    """Tiny pictures at these places: dark ones in the folders of dark ones."""
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = constant(DARK if path.parent.name in DARK_FOLDERS else BRIGHT, (8, 12))
        path.write_bytes(encoded(picture, {".jpg": "jpeg"}.get(path.suffix, path.suffix[1:])))


@pytest.mark.parametrize(("layout", "split"), CASES)
def test_pairs_are_found_with_the_dark_picture_as_low(tmp_path: Path, layout: str, split: str) -> None:
    for files in LAYOUTS[layout].values():
        write(tmp_path, files)
    samples = find_samples(layout, tmp_path, split)
    files = LAYOUTS[layout][split]
    low_files = [name for name in files if Path(name).parent.name in DARK_FOLDERS]
    assert sorted(str(sample.files["low"].relative_to(tmp_path)) for sample in samples) == sorted(low_files)
    assert len({sample.name for sample in samples}) == len(samples)
    for sample in samples:
        assert abs(int(read_picture(sample.files["low"]).mean()) - DARK) < 3
        assert abs(int(read_picture(sample.files["high"]).mean()) - BRIGHT) < 3


@pytest.mark.parametrize(("layout", "split"), [case for case in CASES if case[0] != "pairs"])
def test_a_missing_folder_is_named_and_so_is_where_to_get_it(tmp_path: Path, layout: str, split: str) -> None:
    dark = [name for name in LAYOUTS[layout][split] if Path(name).parent.name in DARK_FOLDERS]
    write(tmp_path, dark)
    with pytest.raises(FileNotFoundError) as error:
        find_samples(layout, tmp_path, split)
    assert "there is no folder" in str(error.value)
    assert str(tmp_path) in str(error.value)
    assert "publish" in str(error.value) or "authors" in str(error.value)


@pytest.mark.parametrize(
    ("layout", "files"),
    [("drbn_real_low", ["Low_real_test_2_rs/1.png"]), ("drbn_liked", ["AVA_good_2/953349.jpg"])],
)
def test_drbns_single_pictures(tmp_path: Path, layout: str, files: Sequence[str]) -> None:
    with pytest.raises(FileNotFoundError, match="DRBN"):
        find_samples(layout, tmp_path)
    write(tmp_path, files)
    (sample,) = find_samples(layout, tmp_path)
    assert set(sample.files) == {"image"}


@pytest.mark.parametrize(
    ("layout", "inside"),
    [
        ("lolv2_real", "Real_captured"),
        ("lolv2_synthetic", "Synthetic"),
        ("lol1000", "LOL1000"),
    ],
)
def test_the_set_may_be_named_by_its_inner_folder(tmp_path: Path, layout: str, inside: str) -> None:
    write(tmp_path, LAYOUTS[layout]["test"])
    assert find_samples(layout, tmp_path / inside, "test")


def test_rellisur_under_its_archives_folder(tmp_path: Path) -> None:
    write(tmp_path / "RELLISUR-Dataset", LAYOUTS["rellisur"]["train"])
    samples = find_samples("rellisur", tmp_path, "train")
    assert [sample.scene for sample in samples] == ["00001", "00001"]


def test_rellisurs_exposures_of_one_scene_are_held_out_together(tmp_path: Path) -> None:
    scenes = [f"{number:05}" for number in range(1, 7)]
    write(tmp_path, [f"Train/LLLR/{scene}-{ev}.png" for scene in scenes for ev in ("2.5", "4.0")])
    write(tmp_path, [f"Train/NLHR/X1/{scene}.png" for scene in scenes])
    kept, held_out = hold_out(find_samples("rellisur", tmp_path), 0.3, seed=0)
    assert held_out
    assert not {sample.scene for sample in kept} & {sample.scene for sample in held_out}


def test_a_dark_picture_without_reference_is_named(tmp_path: Path) -> None:
    write(tmp_path, [*LAYOUTS["lolv2_real"]["train"], "Real_captured/Train/Low/low00002.png"])
    with pytest.raises(FileNotFoundError, match=r"low00002\.png has no reference normal00002"):
        find_samples("lolv2_real", tmp_path)


def test_an_unknown_split_is_refused(tmp_path: Path) -> None:
    write(tmp_path, LAYOUTS["lsrw"]["train"])
    with pytest.raises(ValueError, match="choose train or test"):
        find_samples("lsrw", tmp_path, "eval")


def test_the_data_at_hand_are_read_in_their_publishers_layout(shared: Path) -> None:
    samples = find_samples("lolv1", shared / "data/LOLv1")
    assert len(samples) == 485
    assert len({sample.scene for sample in samples}) < 300
    assert len(find_samples("lolv1", shared / "data/LOLv1", "test")) == 15
