"""From a folder to samples: the file layouts that training and evaluation can read."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

SAME_AS_FOLDER = "zero_dce_train"
"""The folder whose scenes are named in the column `same_as` of another folder's list."""

PICTURE_SUFFIXES = frozenset({".avif", ".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True)
class Sample:
    """The files that belong together: a picture, or the views of one scene.

    Attributes:
        name: stem of the file name, unique within a data set.
        files: path by field: `image` alone, or `low` and `high`.
        scene: group of samples that show the same scene, so that a hold-out takes them together.
        shows: the scene across data sets: `<folder>/<scene>`, and its names in other folders.
    """

    name: str
    files: Mapping[str, Path]
    scene: str
    shows: frozenset[str] = frozenset()


Layout = Callable[[Path, str], list[Sample]]
_LAYOUTS: dict[str, Layout] = {}


def register_layout(name: str) -> Callable[[Layout], Layout]:
    """Put the decorated function into the list of layouts.

    It takes the user's folder and a split (`train` or `test`), and returns samples in a fixed order; it raises
    FileNotFoundError naming the missing folder and the source of the data set.

    Raises:
        ValueError: the name is taken.
    """

    def remember(layout: Layout) -> Layout:
        if name in _LAYOUTS:
            raise ValueError(f"two data set layouts are called {name!r}")
        _LAYOUTS[name] = layout
        return layout

    return remember


def layout_names() -> tuple[str, ...]:
    """Names of all layouts, sorted."""
    return tuple(sorted(_LAYOUTS))


def find_samples(layout: str, root: Path, split: str = "train") -> list[Sample]:
    """The samples of a data set, at least one.

    Args:
        layout: one of `layout_names()`.
        root: the data set's folder, as its publisher unpacks it.
        split: `train` or `test`.

    Raises:
        FileNotFoundError: the folder, or a folder or file that the layout needs, is missing.
        ValueError: the layout is unknown.
    """
    if layout not in _LAYOUTS:
        raise ValueError(f"there is no layout {layout!r}; choose one of {', '.join(layout_names())}")
    if not root.is_dir():
        raise FileNotFoundError(f"there is no folder {root} (data set layout {layout!r})")
    samples = _LAYOUTS[layout](root, split)
    if not samples:
        raise FileNotFoundError(f"{root} has no pictures in the layout {layout!r}, split {split!r}")
    own = root.resolve().name
    return [replace(sample, shows=sample.shows | {f"{own}/{sample.scene}"}) for sample in samples]


def list_pictures(folder: Path) -> dict[str, Path]:
    """Picture files directly in a folder by stem, sorted; numbers in names sort by value.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: two files share a stem.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    pictures: dict[str, Path] = {}
    for path in sorted(folder.iterdir(), key=lambda path: natural_order(path.name)):
        if path.suffix.lower() in PICTURE_SUFFIXES:
            if path.stem in pictures:
                raise ValueError(f"{folder} has two pictures called {path.stem}")
            pictures[path.stem] = path
    return pictures


def natural_order(name: str) -> tuple[tuple[int, int, str], ...]:
    """A sort key by which `2.png` comes before `10.png`."""
    parts: list[str] = []
    for character in name:
        if parts and parts[-1][-1].isdigit() == character.isdigit():
            parts[-1] += character
        else:
            parts.append(character)
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts)


def paired_samples(
    low: Path, high: Path, scenes: Mapping[str, str] | None = None, rename: Callable[[str], str] | None = None
) -> list[Sample]:
    """Samples with `low` and `high`, paired by file stem.

    Args:
        low: folder of dark pictures.
        high: folder of their references.
        scenes: scene group by stem; a sample that is not listed is a group of its own.
        rename: stem of the dark picture -> stem of its reference, where they differ.

    Raises:
        FileNotFoundError: a folder or a reference is missing.
    """
    references = list_pictures(high)
    samples = []
    for stem, path in list_pictures(low).items():
        partner = rename(stem) if rename else stem
        if partner not in references:
            raise FileNotFoundError(f"{path} has no reference {partner}.* in {high}")
        scene = (scenes or {}).get(stem, stem)
        samples.append(Sample(stem, {"low": path, "high": references[partner]}, scene))
    return samples


def has_holdout(rows: Iterable[Mapping[str, str]]) -> bool:
    """Whether a list of scenes marks any of these rows in its column `holdout`: such scenes are the split `test`."""
    return any(row.get("holdout") for row in rows)


def is_input(row: Mapping[str, str]) -> bool:
    """Whether this is the shot of a held-out sequence that is to be enhanced."""
    return row.get("holdout") == "input"


def shown_elsewhere(row: Mapping[str, str]) -> frozenset[str]:
    """The names of this row's scene in other folders (`Sample.shows`), by the list's column `same_as`."""
    same = row.get("same_as") or ""
    return frozenset({f"{SAME_AS_FOLDER}/{same}"}) if same else frozenset()


def read_rows(file: Path, split: str | None = None) -> dict[str, dict[str, str]]:
    """Rows by file stem of a CSV with columns `name` or `file`, `scene` and others; empty if there is no file.

    Args:
        file: the CSV.
        split: leave out rows whose column `split` says another.
    """
    if not file.is_file():
        return {}
    with file.open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if split is None or row.get("split") in (None, split)]
    return {Path(row.get("name") or row["file"]).stem: row for row in rows}


def read_scenes(file: Path, split: str | None = None) -> dict[str, str]:
    """Scene group by file stem, as `read_rows`."""
    return {stem: row["scene"] for stem, row in read_rows(file, split).items()}


def hold_out(samples: Sequence[Sample], fraction: float, seed: int) -> tuple[list[Sample], list[Sample]]:
    """Split into (kept, held out) so that no scene is on both sides.

    Args:
        samples: what to split; order is kept.
        fraction: share of samples to hold out, in [0, 1); whole scenes are taken until it is reached.
        seed: decides which scenes.
    """
    scenes = sorted({sample.scene for sample in samples}, key=natural_order)
    order = np.random.default_rng(seed).permutation(len(scenes))
    wanted = fraction * len(samples)
    sizes = Counter(sample.scene for sample in samples)
    held: set[str] = set()
    count = 0
    for index in order:
        if count >= wanted:
            break
        held.add(scenes[index])
        count += sizes[scenes[index]]
    return [s for s in samples if s.scene not in held], [s for s in samples if s.scene in held]
