"""Photographs with a mask of the people and objects in them, for relighting along true contours."""

from __future__ import annotations

from pathlib import Path

from training.datasets._samples import Sample, list_pictures, register_layout

TEST_EVERY = 5
"""One in this many photographs belongs to the split `test`."""


@register_layout("objects")
def objects(root: Path, split: str) -> list[Sample]:
    """Samples `image` and `mask` from the folders `images` and `masks`, paired by stem.

    A mask has the size of its photograph; 0 is surroundings, and any other value something that stands before them.
    """
    masks = list_pictures(root / "masks")
    samples = []
    for number, (stem, image) in enumerate(list_pictures(root / "images").items()):
        if stem not in masks:
            raise FileNotFoundError(f"{image} has no mask {stem}.* in {root / 'masks'}")
        if (number % TEST_EVERY == 0) == (split == "test"):
            samples.append(Sample(stem, {"image": image, "mask": masks[stem]}, stem))
    return samples
