"""Endless batches whose content depends on the step alone, so that a resumed run sees the same pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from training.datasets._samples import Sample
from training.datasets._transforms import Pixels, Transforms, read_picture, transform


class Stream:
    """Training batches of one data set.

    Every epoch visits all samples once in a new order; batches continue across the end of an epoch. Pictures are kept
    in memory as uint8 once they have been read.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        transforms: Transforms,
        fields: Mapping[str, str],
        batch_size: int,
        seed: int,
    ) -> None:
        """
        Args:
            samples: the training samples.
            transforms: what happens to each.
            fields: name in the batch -> field of the sample.
            batch_size: samples a batch, over all devices together.
            seed: decides orders and transforms.
        """
        self.samples = list(samples)
        self.transforms = transforms
        self.fields = dict(fields)
        self.batch_size = batch_size
        self.seed = seed
        self._views: dict[int, dict[str, Pixels]] = {}
        self._orders: dict[int, np.ndarray] = {}

    def batch(self, step: int, rank: int = 0, world: int = 1) -> dict[str, Tensor]:
        """The batch of a step: uint8 [N, 3, H, W] by name.

        Args:
            step: number of the step, from 0.
            rank: number of this device, which gets every `world`-th sample.
            world: number of devices.
        """
        first = step * self.batch_size
        numbers = range(first + rank, first + self.batch_size, world)
        items = [self._item(number) for number in numbers]
        return {name: stack([item[name] for item in items]) for name in self.fields}

    def _item(self, number: int) -> dict[str, Pixels]:
        epoch, position = divmod(number, len(self.samples))
        random = np.random.default_rng([self.seed, number])
        return transform(self._read(int(self._order(epoch)[position])), self.transforms, random)

    def _order(self, epoch: int) -> np.ndarray:
        """The samples' order in an epoch; of a batch over its end, two are needed."""
        if epoch not in self._orders:
            last = max(self._orders, default=epoch)
            self._orders = {known: order for known, order in self._orders.items() if known == last}
            self._orders[epoch] = np.random.default_rng([self.seed, epoch, 1]).permutation(len(self.samples))
        return self._orders[epoch]

    def _read(self, index: int) -> dict[str, Pixels]:
        if index not in self._views:
            self._views[index] = read_views(self.samples[index], self.fields, self.transforms)
        return self._views[index]


def read_views(sample: Sample, fields: Mapping[str, str], transforms: Transforms) -> dict[str, Pixels]:
    """The sample's pictures at the recipe's size, uint8 [H, W, 3] by name in the batch."""
    return {
        name: read_picture(sample.files[field], transforms.resize, transforms.longest)
        for name, field in fields.items()
    }


def held_out_batches(
    samples: Sequence[Sample], transforms: Transforms, fields: Mapping[str, str], batch_size: int
) -> Iterator[dict[str, Tensor]]:
    """Whole pictures at the recipe's size without any random change, neighbours of equal shape batched together.

    Yields:
        uint8 [N, 3, H, W] by name, N <= batch_size.
    """
    waiting: list[dict[str, Pixels]] = []
    for sample in samples:
        views = read_views(sample, fields, transforms)
        if waiting and (len(waiting) == batch_size or _shapes(waiting[0]) != _shapes(views)):
            yield {name: stack([item[name] for item in waiting]) for name in fields}
            waiting = []
        waiting.append(views)
    if waiting:
        yield {name: stack([item[name] for item in waiting]) for name in fields}


def _shapes(views: Mapping[str, Pixels]) -> list[tuple[int, ...]]:
    return [view.shape for view in views.values()]


def stack(pictures: Sequence[Pixels]) -> Tensor:
    """uint8 [H, W, 3] each -> uint8 [N, 3, H, W]."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
