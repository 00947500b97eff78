"""Night and backlight, measured on made pictures: what stays, what is lifted, and what is ruined shows."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.pictures import constant, scene
from training.evaluation import mixed_light
from training.evaluation.mixed_light import DARK, judge_light

Pixels = NDArray[np.uint8]


def save(path: Path, pixels: Pixels) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A sequence that is held out and one that is not, photos with masks, good and bad photos, one night."""
    root = tmp_path_factory.mktemp("light")
    lines = ["file,scene,mean_rgb,frac_clipped_hi,frac_black,holdout"]
    for number, name in enumerate(("coffee", "astronaut")):
        bright = scene(name, (96, 144))
        for part, factor in (("dark", 0.25), ("middle", 0.6), ("bright", 1.0)):
            shot = np.round(bright * factor).astype(np.uint8)
            save(root / "brackets" / f"{name}_{part}.png", shot)
            holdout = "" if number else ("input" if part == "dark" else "shot")
            lines.append(f"{name}_{part}.png,{name},{shot.mean():.1f},0.0,0.0,{holdout}")
    (root / "brackets.scenes.csv").write_text("\n".join(lines) + "\n")
    mask = np.zeros((96, 144, 3), np.uint8)
    mask[20:90, 40:110] = 255
    for number in range(6):  # the first and the last are for tests
        save(root / "objects/images" / f"{number}.png", scene("chelsea", (96, 144)))
        save(root / "objects/masks" / f"{number}.png", mask)
    save(root / "photos/lit.png", scene("coffee", (64, 96)))
    save(root / "photos/dim.png", constant(5, (64, 96)))
    (root / "photos/list.csv").write_text("file,exposure\nlit.png,good\ndim.png,dark\n")
    night = np.full((100, 160, 3), 60, np.uint8)
    night[:20, 32:69] = (6, 4, 8)
    save(root / "unpaired/LIME/5.png", night)
    return {name: root / name for name in ("brackets", "objects", "photos", "unpaired")}


def same(photo: Pixels) -> Pixels:
    return photo


def greyed(photo: Pixels) -> Pixels:
    """What was white is no more; what was black is grey."""
    return np.clip(photo, 30, 200).astype(np.uint8)


def test_what_changes_nothing_is_told_so(sets: dict[str, Path]) -> None:
    light = judge_light(same, **sets)
    assert light.dark < DARK
    assert light.white == 0
    assert light.changed == 0
    assert light.skies == ((pytest.approx(6), pytest.approx(4)),)
    assert light.psnr < light.psnr_matched


def test_lifted_subjects_spoilt_whites_and_grey_nights_show(sets: dict[str, Path]) -> None:
    before, after = judge_light(same, **sets), judge_light(greyed, **sets)
    assert after.dark > before.dark
    assert after.white < -30
    assert after.skies[0][0] == pytest.approx(30)
    assert after.skies[0][1] == pytest.approx(0)
    assert after.changed > 0


def test_the_fusion_itself_scores_best(sets: dict[str, Path]) -> None:
    ((dark, fusion),) = mixed_light.held_out_sequences(sets["brackets"])
    assert dark.mean() < 0.5 * fusion.mean()
    known = judge_light(lambda photo: fusion if photo.shape == fusion.shape else photo, brackets=sets["brackets"])
    assert known.psnr > 60
    assert known.ssim > 0.999


def test_only_good_photos_count(sets: dict[str, Path]) -> None:
    assert len(list(mixed_light.good_photos(sets["photos"]))) == 1


def test_backlit_photos_are_the_same_for_every_model_and_dark_in_part(sets: dict[str, Path]) -> None:
    first, again = (list(mixed_light.backlit_photos(sets["objects"])) for _ in range(2))
    assert len(first) == 2
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
        assert ((one @ [0.299, 0.587, 0.114]) < DARK).mean() >= mixed_light.LEAST_DARK


def test_a_set_that_is_left_out_is_told_as_such() -> None:
    light = judge_light(same)
    assert math.isnan(light.psnr)
    assert math.isnan(light.dark)
    assert light.skies == ()
    assert light.row.count("nan") >= 4


def test_the_command_prints_a_row_a_model(
    sets: dict[str, Path], map_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [word for name in ("brackets", "unpaired") for word in (f"--{name}", str(sets[name]))]
    code = mixed_light.main(["lively", "--repository", str(map_models / "models"), "--threads", "1", *folders])
    rows = capsys.readouterr().out.splitlines()
    assert code == 0
    assert [row.split(" | ")[0] for row in rows[2:]] == ["| input", "| `lively`"]


def test_a_missing_model_ends_the_command_with_its_name(map_models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert mixed_light.main(["nobody", "--repository", str(map_models / "models")]) == 2
    assert "nobody" in capsys.readouterr().err
