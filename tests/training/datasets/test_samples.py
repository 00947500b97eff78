"""Reading folders, scene groups and hold-outs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import pictures
from training.datasets import Sample, find_samples, hold_out, layout_names, read_picture


def _write(path: Path, format: str = "png", **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pictures.encoded(pictures.dark_scene("rocket", (24, 32)), format, **options))


def test_folder_is_read_in_natural_order_with_scenes(tmp_path: Path) -> None:
    for stem in ("10", "2", "1"):
        _write(tmp_path / "set" / f"{stem}.png")
    (tmp_path / "set" / "readme.txt").write_text("no picture")
    (tmp_path / "set.scenes.csv").write_text("file,scene\n1.png,a\n2.png,a\n")
    samples = find_samples("folder", tmp_path / "set")
    assert [sample.name for sample in samples] == ["1", "2", "10"]
    assert [sample.scene for sample in samples] == ["a", "a", "10"]


def test_lolv1_in_the_publishers_layout_and_in_other_formats(tmp_path: Path) -> None:
    for stem in ("1", "2"):
        _write(tmp_path / "our485" / "low" / f"{stem}.webp", "webp", lossless=True)
        _write(tmp_path / "our485" / "high" / f"{stem}.avif", "avif")
        _write(tmp_path / "eval15" / "low" / f"{stem}9.png")
        _write(tmp_path / "eval15" / "high" / f"{stem}9.png")
    (tmp_path / "scenes.csv").write_text("split,name,scene\nour485,1.png,7\nour485,2.png,7\neval15,19.png,8\n")
    training = find_samples("lolv1", tmp_path)
    assert [(sample.name, sample.scene) for sample in training] == [("1", "7"), ("2", "7")]
    assert read_picture(training[0].files["high"]).shape == (24, 32, 3)
    assert [sample.name for sample in find_samples("lolv1", tmp_path, "test")] == ["19", "29"]


def test_missing_parts_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere"):
        find_samples("folder", tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="our485"):
        find_samples("lolv1", tmp_path)
    with pytest.raises(FileNotFoundError, match="folders low and high"):
        find_samples("pairs", tmp_path)
    with pytest.raises(FileNotFoundError, match="has no pictures"):
        find_samples("folder", tmp_path)
    with pytest.raises(ValueError, match=r"choose one of.*folder"):
        find_samples("lolv9", tmp_path)


def test_a_picture_without_its_reference_is_named(tmp_path: Path) -> None:
    _write(tmp_path / "low" / "3.png")
    _write(tmp_path / "high" / "4.png")
    with pytest.raises(FileNotFoundError, match=r"3\.png has no reference"):
        find_samples("pairs", tmp_path)


def test_hold_out_keeps_scenes_together_and_is_repeatable() -> None:
    samples = [Sample(str(i), {"image": Path(f"{i}.png")}, str(i // 4)) for i in range(40)]
    kept, held = hold_out(samples, 0.2, seed=3)
    assert len(kept) + len(held) == 40
    assert len(held) == 8
    assert not {sample.scene for sample in kept} & {sample.scene for sample in held}
    assert hold_out(samples, 0.2, seed=3) == (kept, held)
    assert hold_out(samples, 0.2, seed=4) != (kept, held)


def test_nothing_is_held_out_of_nothing() -> None:
    samples = [Sample(str(i), {"image": Path("x")}, str(i)) for i in range(3)]
    assert hold_out(samples, 0.0, seed=0) == (samples, [])


def test_all_layouts_are_listed() -> None:
    assert {"folder", "lolv1", "pairs"} <= set(layout_names())
