"""Hold-outs: what is judged by is trained on in no stream, in whatever folder and under whatever name."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests import pictures
from training import train
from training._holdout import require_apart, split_samples
from training.datasets import find_samples
from training.recipe import Recipe

HEADER = "file,scene,mean_rgb,frac_clipped_hi,frac_black,same_as,holdout"


@pytest.fixture(scope="module")
def sequences(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four sequences of a dark and a bright shot: the first is also in `zero_dce_train`, the last is held out."""
    root = tmp_path_factory.mktemp("data")
    folder, other = root / "brackets", root / "zero_dce_train"
    folder.mkdir()
    other.mkdir()
    rows, others = [HEADER], [HEADER]
    for number, name in enumerate(pictures.SCENES):
        bright = pictures.scene(name, (64, 96))
        for mark, view in (("input", bright // 3), ("scene", bright)):
            file = f"{name}_{mark}.png"
            (folder / file).write_bytes(pictures.encoded(view))
            mean = 40 if mark == "input" else 120
            same = "7" if number == 0 else ""
            rows.append(f"{file},{name},{mean},0,0,{same},{mark if number == len(pictures.SCENES) - 1 else ''}")
        (other / f"{number}.png").write_bytes(pictures.encoded(pictures.scene(name, (48, 64))))
        others.append(f"{number}.png,{7 if number == 0 else 100 + number},120,0,0,,")
    (root / "brackets.scenes.csv").write_text("\n".join(rows))
    (root / "zero_dce_train.scenes.csv").write_text("\n".join(others))
    return root


def _recipe(sets: dict[str, object], photos: str = "well_exposed") -> Recipe:
    return Recipe.model_validate(
        {
            "title": "toy",
            "network": "zero_dce_improved",
            "objective": {
                "name": "zero_reference",
                "settings": {"reference": 1.0, "color_epsilon": 1e-9},
            },
            "data": {
                "pairs": {"layout": "brackets", "transforms": {"crop": 32}},
                "image": {"layout": photos, "fields": {"image": "image"}, "transforms": {"crop": 32}},
            },
            "batch_size": 1,
            "steps": 2,
            "optimizers": {"network": {"lr": 1e-3}},
            "validation": {"every": 1, "select": "psnr_matched", "mode": "max", "sets": sets},
        }
    )


def _folders(root: Path) -> dict[str, Path]:
    return {"pairs": root / "brackets", "image": root / "zero_dce_train"}


def _scenes(samples: Sequence[object]) -> set[str]:
    return {sample.scene for sample in samples}  # type: ignore[attr-defined]


def test_the_list_says_what_is_held_out(sequences: Path) -> None:
    last = pictures.SCENES[-1]
    train_on = find_samples("brackets", sequences / "brackets", "train")
    test_on = find_samples("brackets", sequences / "brackets", "test")
    assert last not in _scenes(train_on)
    assert [(sample.scene, sample.name) for sample in test_on] == [(last, f"{last}_input")]
    photos = find_samples("well_exposed", sequences / "brackets", "train")
    assert _scenes(photos) == set(pictures.SCENES[:-1])
    everything = find_samples("folder", sequences / "brackets", "train")
    assert last not in _scenes(everything)
    assert _scenes(find_samples("folder", sequences / "brackets", "test")) == {last}


def test_a_scene_is_known_by_its_name_in_another_folder(sequences: Path) -> None:
    first = pictures.SCENES[0]
    for seed in range(20):  # until the hold-out takes the scene that both folders have
        recipe = _recipe({"rooms": {"data": "pairs", "fraction": 0.3}}).model_copy(update={"seed": seed})
        split = split_samples(recipe, _folders(sequences))
        if _scenes(split.validation["rooms"]) == {first}:
            break
    assert _scenes(split.validation["rooms"]) == {first}
    assert first not in _scenes(split.streams["pairs"])
    assert "7" not in _scenes(split.streams["image"])
    assert [sample.scene for sample in split.hidden["image"]] == ["7"]
    require_apart(split.streams, split.validation)


def test_a_copy_under_another_name_is_known_by_its_bytes(sequences: Path, tmp_path: Path) -> None:
    held_out = find_samples("brackets", sequences / "brackets", "test")[0]
    shutil.copytree(sequences, tmp_path, dirs_exist_ok=True)
    shutil.copy(held_out.files["high"], tmp_path / "zero_dce_train" / "9.png")
    with (tmp_path / "zero_dce_train.scenes.csv").open("a") as file:
        file.write("\n9.png,999,120,0,0,,")
    recipe = _recipe({"streets": {"data": "pairs", "split": "test"}})
    split = split_samples(recipe, _folders(tmp_path))
    assert [sample.name for sample in split.hidden["image"]] == ["9"]


def test_a_training_on_what_is_held_out_does_not_begin(sequences: Path) -> None:
    recipe = _recipe({"streets": {"data": "pairs", "split": "test"}})
    split = split_samples(recipe, _folders(sequences))
    leaky = {**split.streams, "image": [*split.streams["image"], *split.validation["streets"]]}
    with pytest.raises(ValueError, match=r"stream image trains on \w+_input .* the validation set streets holds out"):
        require_apart(leaky, split.validation)


@pytest.mark.parametrize("detail", ["whole", "guided"])
def test_checkpoints_are_chosen_by_what_is_served(sequences: Path, tmp_path: Path, detail: str) -> None:
    sets: dict[str, object] = {
        "rooms": {"data": "pairs", "fraction": 0.3, "detail": detail, "weight": 3.0},
        "streets": {"data": "pairs", "split": "test", "detail": detail},
    }
    result = train(
        _recipe(sets), _folders(sequences), tmp_path, device="cpu", progress=False, unfinished=tmp_path / "unfinished"
    )
    from training import read_curve

    curve = read_curve(tmp_path / "curve.csv")
    for score in ("psnr", "ssim", "psnr_matched", "ssim_matched"):
        values = {
            name: dict(curve[f"validation/{name}"])[2] for name in (score, f"rooms/{score}", f"streets/{score}")
        }
        mean = (3 * values[f"rooms/{score}"] + values[f"streets/{score}"]) / 4
        assert values[score] == pytest.approx(mean, rel=1e-4)
    assert result.manifest["best"]["select"] == "psnr_matched"
    assert set(result.manifest["validated_on"]) == {"rooms", "streets"}


@pytest.mark.parametrize(
    ("sets", "told"),
    [
        ({"rooms": {"data": "photos", "fraction": 0.1}}, "choose a stream of pairs, image"),
        ({"rooms": {"data": "pairs"}}, "give a fraction of the split train"),
        ({"rooms": {"data": "pairs", "split": "test", "fraction": 0.1}}, "give a fraction of the split train"),
        ({"rooms": {"data": "pairs", "fraction": 0.1, "layout": "bracket"}}, "no layout 'bracket'"),
        ({"rooms": {"data": "pairs", "fraction": 0.1, "detail": "whole", "resize": 64}}, "keep their size"),
    ],
)
def test_wrong_sets_are_refused(sets: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        _recipe(sets)


def test_rendered_sets_need_pairs(sequences: Path, tmp_path: Path) -> None:
    recipe = _recipe({"photos": {"data": "image", "fraction": 0.3, "detail": "whole"}})
    with pytest.raises(ValueError, match="takes pairs of low and high"):
        train(recipe, _folders(sequences), tmp_path, device="cpu", progress=False)
