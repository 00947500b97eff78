"""Layouts of the freely licensed photographs, their masks, and what was made of them (`gather`, `make_open`)."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from training.datasets._samples import Sample, list_pictures, paired_samples, register_layout
from training.datasets.open_sources import Source, gathered

HELD_OUT = Path(__file__).with_name("open_holdout.csv")
"""Scenes that are never trained on, one a line."""

PAIRS, VIEWS, MASKS = "held_out", "environment", "masks"
"""Folders that `make_open` fills: darkened held-out photographs, views of environment maps, and masks."""

FIELDS = LOW, HIGH = "low", "high"

Chosen = dict[Source, Path]


@register_layout("open_photos")
def open_photos(root: Path, split: str) -> list[Sample]:
    """The well-exposed photographs, field `image`: in `test` those of the held-out scenes, in `train` all others.

    Where the folder was gathered with `--permissive`, no copyleft is among them.
    """
    return [
        Sample(path.stem, {"image": path}, scene_of(source))
        for source, path in photographs(root, split).items()
        if source.exposure == "good"
    ]


@register_layout("open_all_photos")
def open_all_photos(root: Path, split: str) -> list[Sample]:
    """As `open_photos`, plus photographs of mixed light and of night, which should stay unchanged."""
    return [Sample(path.stem, {"image": path}, scene_of(source)) for source, path in photographs(root, split).items()]


@register_layout("open_objects")
def open_objects(root: Path, split: str) -> list[Sample]:
    """Samples `image` and `mask`: every photograph that is not dark with each of its masks that `make_open` made."""
    masks = list_pictures(_made(root, MASKS))
    return [
        Sample(stem, {"image": path, "mask": masks[stem]}, scene_of(source))
        for source, path in photographs(root, split).items()
        if source.exposure != "dark"
        for stem in sorted(stem for stem in masks if stem.rpartition(".")[0] == path.stem)
    ]


@register_layout("open_pairs")
def open_pairs(root: Path, split: str) -> list[Sample]:
    """Pairs `low` and `high`: held-out photographs, darkened once by `make_open`; all are of the split `test`."""
    if split != "test":
        return []
    scenes = {path.stem: scene_of(source) for source, path in photographs(root, "test").items()}
    folder = _made(root, PAIRS)
    return paired_samples(folder / LOW, folder / HIGH, scenes)


@register_layout("environment")
def environment(root: Path, split: str) -> list[Sample]:
    """Pairs `low` and `high`: views of environment maps at two exposures, by `make_open`, a scene for each map."""
    folder = _made(root, VIEWS)
    held_out = _held_out()
    samples = [
        Sample(sample.name, sample.files, sample.name.rpartition(".")[0])
        for sample in paired_samples(folder / LOW, folder / HIGH)
    ]
    return [sample for sample in samples if (sample.scene in held_out) == (split == "test")]


def photographs(root: Path, split: str) -> Chosen:
    """The gathered photographs of a split.

    Raises:
        FileNotFoundError: nothing was gathered.
        ValueError: a file is not on the list of sources, or has other bytes.
    """
    held_out = _held_out()
    return {
        source: path
        for source, path in gathered(root).items()
        if not source.is_map and (scene_of(source) in held_out) == (split == "test")
    }


def maps(root: Path) -> Chosen:
    """The gathered environment maps; raises as `photographs`."""
    return {source: path for source, path in gathered(root).items() if source.is_map}


def scene_of(source: Source) -> str:
    """The scene: the picture's name without the number of the shot, so that shots of one scene belong together."""
    return re.sub(r"(_?\d+)+$", "", Path(source.file.removesuffix(".js")).stem)


def _held_out() -> frozenset[str]:
    with HELD_OUT.open(newline="") as lines:
        return frozenset(row["scene"] for row in csv.DictReader(lines))


def _made(root: Path, name: str) -> Path:
    folder = root / name
    if not folder.is_dir():
        raise FileNotFoundError(
            f"there is no folder {folder}; `python -m training.datasets.make_open {root}` makes it"
        )
    return folder
