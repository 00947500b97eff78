"""Splits samples into those for training and those for validation, so that no scene of any stream is in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.datasets import Sample, find_samples, hold_out
from training.recipe import Recipe, ValidationSet


@dataclass(frozen=True)
class Split:
    """Samples of a training.

    Attributes:
        streams: training samples of each stream, by name.
        hidden: samples that each stream would have, were they not held out.
        validation: samples of each validation set of the recipe.
    """

    streams: Mapping[str, list[Sample]]
    hidden: Mapping[str, list[Sample]]
    validation: Mapping[str, list[Sample]]


def split_samples(recipe: Recipe, folders: Mapping[str, Path]) -> Split:
    """Find the samples of all streams, hold out what the recipe says, and keep its scenes out of every stream.

    Args:
        recipe: the checked recipe.
        folders: by stream.

    Raises:
        FileNotFoundError: as `find_samples`.
        ValueError: all samples of a stream are held out.
    """
    found = {name: find_samples(part.layout, folders[name], part.split) for name, part in recipe.data.items()}
    held_out = {
        name: _held_out(recipe, settings, found, folders) for name, settings in recipe.validation_sets().items()
    }
    overlap = _Overlap([sample for samples in held_out.values() for sample in samples])
    streams, left_out = {}, {}
    for name, samples in found.items():
        streams[name] = [sample for sample in samples if not overlap.has(sample)]
        left_out[name] = [sample for sample in samples if overlap.has(sample)]
        if not streams[name]:
            raise ValueError(f"stream {name} ({folders[name]}) has held-out samples only: none is left to train on")
    validation = {name: _spread(samples, recipe.validation_sets()[name].limit) for name, samples in held_out.items()}
    return Split(streams, left_out, validation)


def require_apart(streams: Mapping[str, Sequence[Sample]], held_out: Mapping[str, Sequence[Sample]]) -> None:
    """Refuse to train on held-out samples.

    Raises:
        ValueError: a stream has a held-out scene or file; the message names both.
    """
    for set_name, samples in held_out.items():
        overlap = _Overlap(samples)
        for stream, trained_on in streams.items():
            for sample in trained_on:
                if overlap.has(sample):
                    raise ValueError(
                        f"stream {stream} trains on {sample.name} (scene {sample.scene}), "
                        f"which the validation set {set_name} holds out"
                    )


class _Overlap:
    """Finds samples that show the same as others: by scene, over all folders; by path; and by their files' bytes."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._shown = frozenset[str]().union(*(sample.shows for sample in samples))
        files = {path.resolve() for sample in samples for path in sample.files.values()}
        self._files = files
        self._by_size: dict[int, list[Path]] = {}
        for file in files:
            self._by_size.setdefault(file.stat().st_size, []).append(file)

    def has(self, sample: Sample) -> bool:
        """Whether one of them shows the same as this sample."""
        return not self._shown.isdisjoint(sample.shows) or any(map(self._has_file, sample.files.values()))

    def _has_file(self, path: Path) -> bool:
        path = path.resolve()
        if path in self._files:
            return True
        twins = self._by_size.get(path.stat().st_size, ())
        return any(path.read_bytes() == twin.read_bytes() for twin in twins)


def _held_out(
    recipe: Recipe, settings: ValidationSet, found: Mapping[str, list[Sample]], folders: Mapping[str, Path]
) -> list[Sample]:
    part = recipe.data[settings.data]
    own_layout = settings.layout in (None, part.layout)
    if settings.split != part.split or not own_layout:
        samples = find_samples(settings.layout or part.layout, folders[settings.data], settings.split)
    else:
        samples = found[settings.data]
    if settings.fraction is None:
        return samples
    held_out = hold_out(samples, settings.fraction, recipe.seed)[1]
    if len(held_out) == len(samples):
        raise ValueError(
            f"{folders[settings.data]}: all {len(samples)} samples would be held out, none is left to train on"
        )
    return held_out


def _spread(samples: list[Sample], limit: int | None) -> list[Sample]:
    """At most so many samples, spread evenly over all."""
    if limit is None or len(samples) <= limit:
        return samples
    return [samples[int(index)] for index in np.linspace(0, len(samples) - 1, limit).round()]
