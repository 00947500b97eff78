"""Plain folders of pictures, and LOL version 1."""

from __future__ import annotations

from pathlib import Path

from training.datasets._samples import (
    Sample,
    has_holdout,
    list_pictures,
    paired_samples,
    read_rows,
    read_scenes,
    register_layout,
    shown_elsewhere,
)


@register_layout("folder")
def folder(root: Path, split: str) -> list[Sample]:
    """Unpaired pictures directly in one folder, field `image`.

    A file `scenes.csv` inside, or `<folder>.scenes.csv` beside it, may group pictures of one scene. Scenes that it
    marks in a column `holdout` are the split `test` alone; where it marks none, the split does not matter.
    """
    rows = read_rows(root.parent / f"{root.name}.scenes.csv") or read_rows(root / "scenes.csv")
    marks = has_holdout(rows.values())
    nothing: dict[str, str] = {}
    return [
        Sample(stem, {"image": path}, row.get("scene", stem), shown_elsewhere(row))
        for stem, path in list_pictures(root).items()
        for row in [rows.get(stem, nothing)]
        if not marks or has_holdout([row]) == (split == "test")
    ]


@register_layout("pairs")
def pairs(root: Path, split: str) -> list[Sample]:
    """Pairs with equal stems in `low/` and `high/`, or in `train/low/`, `test/low/` and so on."""
    base = root / split if (root / split).is_dir() else root
    for name in ("low", "high"):
        if not (base / name).is_dir():
            raise FileNotFoundError(f"paired data needs the folders low and high: there is no {base / name}")
    return paired_samples(base / "low", base / "high", read_scenes(root / "scenes.csv", split))


@register_layout("lolv1")
def lolv1(root: Path, split: str) -> list[Sample]:
    """LOL version 1: `our485/{low,high}` to train, `eval15/{low,high}` to test; `scenes.csv` groups scenes.

    Wei et al., "Deep Retinex Decomposition for Low-Light Enhancement", BMVC 2018.
    """
    part = {"train": "our485", "test": "eval15"}.get(split, split)
    for name in ("low", "high"):
        if not (root / part / name).is_dir():
            raise FileNotFoundError(
                f"LOL v1 is incomplete: there is no folder {root / part / name}; its authors publish it as "
                "LOLdataset.zip (Wei et al., BMVC 2018, 'Deep Retinex Decomposition')"
            )
    scenes = read_scenes(root / "scenes.csv", part)
    return paired_samples(root / part / "low", root / part / "high", scenes)
