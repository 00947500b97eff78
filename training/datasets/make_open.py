"""Make training data from the gathered pictures: masks, views of environment maps, and held-out pairs.

    python -m training.datasets.make_open data/open

writes `masks`, `environment` and `held_out` in the folder, with the same content each time. The layouts of
`training.datasets.open_photos` read them.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from training.datasets._darkening import Darkening, darken
from training.datasets._environment import random_pair, read_map
from training.datasets._lamps import Lamps, light_by_lamps
from training.datasets._masks import find_masks
from training.datasets._relighting import Relighting, relight
from training.datasets._transforms import Pixels, read_picture
from training.datasets.open_photos import FIELDS, MASKS, PAIRS, VIEWS, maps, photographs, scene_of

SEED = 20240601

VIEWS_OF_A_MAP = 24

LONGEST = 640
"""Long side in pixels of held-out pairs, at most."""

MASK_LONGEST = 512
"""Long side in pixels of masks, at most; a recipe reads the photographs at the same `longest`."""

DARK = Darkening(gain=(0.03, 0.3), electrons=(2000, 50000), read_noise=(1.0, 6.0), jpeg=0.3)
"""Held-out photographs in too little light."""

NOISE = Darkening(gain=(0.3, 1.0), electrons=(2000, 50000), read_noise=(1.0, 6.0), jpeg=0.3)
"""Noise and compression of the other held-out photographs, after their light was changed."""


def make(root: Path) -> dict[str, int]:
    """Write everything; returns the number of files of each kind.

    Args:
        root: the folder that was given to `gather`.

    Raises:
        FileNotFoundError: nothing was gathered.
        ValueError: a file is not on the list of sources, or has other bytes.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # otherwise the order of additions in the fusion, and so its rounding, varies between runs
    try:
        return {PAIRS: _pairs(root), VIEWS: _views(root), MASKS: _masks(root)}
    finally:
        cv2.setNumThreads(threads)


def _masks(root: Path) -> int:
    folder = _emptied(root / MASKS)
    count = 0
    for number, path in enumerate(photographs(root, "train").values()):
        for name, mask in find_masks(
            read_picture(path, longest=MASK_LONGEST), np.random.default_rng([SEED, number])
        ).items():
            Image.fromarray(mask).convert("1").save(folder / f"{path.stem}.{name}.png")
            count += 1
    return count


def _views(root: Path) -> int:
    folders = [_emptied(root / VIEWS / field) for field in FIELDS]
    found = maps(root)
    for number, (source, path) in enumerate(found.items()):
        sphere = read_map(path)
        for view in range(VIEWS_OF_A_MAP):
            pair = random_pair(sphere, np.random.default_rng([SEED, number, view]))
            for folder, picture in zip(folders, pair, strict=True):
                Image.fromarray(picture).save(folder / f"{scene_of(source)}.{view:03}.png")
    return len(found) * VIEWS_OF_A_MAP


def _pairs(root: Path) -> int:
    folders = [_emptied(root / PAIRS / field) for field in FIELDS]
    chosen = photographs(root, "test")
    for number, path in enumerate(chosen.values()):
        pair = held_out_pair(read_picture(path, longest=LONGEST), number)
        for folder, picture in zip(folders, pair, strict=True):
            Image.fromarray(picture).save(folder / f"{path.stem}.png")
    return len(chosen)


def held_out_pair(view: Pixels, number: int) -> tuple[Pixels, Pixels]:
    """A photograph darkened in one of three ways, in turn, and its reference; the same for the same number."""
    random = np.random.default_rng([SEED, 1, number])
    dark, reference = view, view
    if number % 3 == 0:
        return darken(view, DARK, random), view
    if number % 3 == 1:
        dark, reference = light_by_lamps(view, Lamps(), random)
    else:
        for mask in find_masks(view, random).values():
            relit = relight(view, np.repeat(mask[..., None], 3, axis=2), Relighting(), random)
            if relit is not None:
                dark, reference = relit
                break
    return darken(dark, NOISE, random), reference


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="that was given to `python -m training.datasets.gather`")
    for name, count in make(parser.parse_args().folder).items():
        print(f"{name}: {count}")


if __name__ == "__main__":
    main()
