"""How much of a reference's brightness a dark picture tells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from training.datasets import find_samples
from training.evaluation.exposure import judge_exposure, main


def make_pairs(root: Path, told: bool) -> None:
    """Twenty training scenes of two pictures and four test pictures: two of training scenes, two of none.

    References of a scene are equally bright. Where it is `told`, dark pictures are a tenth of their reference;
    else all dark pictures are equally dark.
    """
    rng = np.random.default_rng(5)
    photo = data.astronaut().astype(np.float32)
    lines = ["split,name,scene"]
    brightness = {scene: float(level) for scene, level in enumerate(rng.uniform(0.3, 1.0, 22))}
    pictures = [("our485", f"{scene}-{take}", scene) for scene in range(20) for take in range(2)]
    pictures += [("eval15", f"t{scene}", scene) for scene in (3, 4, 20, 21)]
    for part, name, scene in pictures:
        top, left = rng.integers(0, 512 - 128, 2)
        crop = photo[top : top + 80, left : left + 120]
        crop = crop * (110 / crop.mean())
        high = crop * brightness[scene]
        low = high / 10 if told else crop / 10
        for folder, view in (("low", low), ("high", high)):
            file = root / part / folder / f"{name}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.clip(view.round(), 0, 255).astype(np.uint8)).save(file)
        lines.append(f"{part},{name}.png,{scene}")
    (root / "scenes.csv").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("told", [True, False])
def test_the_dark_picture_tells_brightness_where_it_does(tmp_path: Path, told: bool) -> None:
    make_pairs(tmp_path, told)
    exposure = judge_exposure(find_samples("lolv1", tmp_path, "train"), find_samples("lolv1", tmp_path, "test"))
    assert (exposure.pictures, exposure.tests, exposure.known) == (40, 4, 2)
    assert exposure.spread > 0.2
    if told:
        assert exposure.told < 0.5 * exposure.spread
    else:
        assert exposure.told > 0.8 * exposure.spread
    assert exposure.within < 0.05 > exposure.tests_looked_up


def test_the_command_prints_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_pairs(tmp_path, told=True)
    assert main([str(tmp_path)]) == 0
    assert "| test pairs, of a training scene | 2 of 4 |" in capsys.readouterr().out


def test_what_is_missing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none")]) == 2
    assert "none" in capsys.readouterr().err


def test_few_scenes_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_pairs(tmp_path, told=True)
    (tmp_path / "scenes.csv").write_text(
        "split,name,scene\n" + "".join(f"our485,{s}-{t}.png,one\n" for s in range(20) for t in range(2))
    )
    assert main([str(tmp_path)]) == 2
    assert "at least 10" in capsys.readouterr().err
