"""The pictures of a training: batches by step, and a few to look at."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker

import cv2
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from training.datasets import Sample, Stream, held_out_batches
from training.recipe import DataRecipe, Recipe

PREVIEWS = 4
"""Number of sample pictures in the log."""

WORKER_NICENESS = 5
"""Added to the niceness of processes that prepare batches."""

ENDING = (signal.SIGINT, signal.SIGTERM)
"""Signals that end a training, not the processes that prepare its batches."""

AHEAD = 4
"""Batches that a worker prepares ahead of the step that needs them."""


class Inputs:
    """All streams of a recipe together.

    Attributes:
        epoch: number of training samples in the first stream.
        fields: name in the batch -> field of the sample, of the first stream.
        preview: a batch of whole pictures, held-out ones of the first stream if there are any.
    """

    def __init__(
        self,
        recipe: Recipe,
        samples: Mapping[str, Sequence[Sample]],
        workers: int,
        devices: int = 1,
        held_out: Sequence[Sample] = (),
    ) -> None:
        """
        Args:
            recipe: the checked recipe.
            samples: what is trained on, by stream.
            workers: processes that prepare batches ahead; 0: each is prepared when its step begins.
            devices: number of devices that share out every batch evenly.
            held_out: held-out samples of the first stream, for the preview.

        Raises:
            ValueError: a stream lacks a field, or two streams share some but not all of their names in the batch; or
                a batch cannot be divided among the devices.
        """
        for name, part in recipe.data.items():
            count = part.batch_size or recipe.batch_size
            if count % devices:
                raise ValueError(
                    f"data.{name}: {count} samples a step cannot be shared out evenly among {devices} devices"
                )
        fields = {name: _fields(name, part, samples[name][0]) for name, part in recipe.data.items()}
        _check_names(fields)
        self._streams = [
            Stream(
                samples[name],
                part.transforms,
                fields[name],
                part.batch_size or recipe.batch_size,
                recipe.seed + part.seed,
            )
            for name, part in recipe.data.items()
        ]
        self._workers = workers

        first = next(iter(recipe.data))
        self.epoch = len(samples[first])
        self.fields = fields[first]
        shown = (held_out or samples[first])[:PREVIEWS]
        self.preview = next(held_out_batches(shown, recipe.data[first].transforms, self.fields, PREVIEWS))

    def batches(self, steps: range, rank: int, world: int) -> Iterator[dict[str, Tensor]]:
        """The batches of these steps in turn (see `batch`), prepared ahead by the workers.

        The workers are processes, so that no step waits for the GIL, and have lower priority than the step. Each
        caches its decoded pictures.
        """
        loader = DataLoader(
            _BatchByStep(self, rank, world),
            batch_size=None,  # an item is a batch already
            sampler=steps,
            num_workers=self._workers,
            prefetch_factor=AHEAD if self._workers else None,
            # Fresh processes: a forked one might wait for ever for locks that threads held at the fork.
            multiprocessing_context="spawn" if self._workers else None,
            worker_init_fn=_set_up_worker,
        )
        with _held_back_from_children():
            return iter(loader)

    def batch(self, step: int, rank: int, world: int) -> dict[str, Tensor]:
        """This device's share of a step's batch, uint8 [N, 3, H, W] by name; equal names of streams are one.

        Raises:
            ValueError: streams that give the same names give different sizes.
        """
        parts: dict[str, list[Tensor]] = {}
        for stream in self._streams:
            for name, pictures in stream.batch(step, rank, world).items():
                parts.setdefault(name, []).append(pictures)
        return {name: _joined(name, pictures) for name, pictures in parts.items()}


class _BatchByStep(Dataset[dict[str, Tensor]]):
    """The data set from which a loader gets batches by step."""

    def __init__(self, inputs: Inputs, rank: int, world: int) -> None:
        self._inputs, self._rank, self._world = inputs, rank, world

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        return self._inputs.batch(step, self._rank, self._world)


@contextmanager
def _held_back_from_children() -> Iterator[None]:
    """Let processes that start within the block be deaf to `ENDING`.

    A terminal's Ctrl-C reaches them all. Without them the training could not finish its step and save its state.
    Not on macOS, where they could not tell who sends a signal.
    """
    if not hasattr(signal, "sigwaitinfo"):
        yield
        return
    resource_tracker.ensure_running()  # else the first of them starts it, which lets the signals through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _set_up_worker(number: int) -> None:
    os.nice(WORKER_NICENESS)
    cv2.setNumThreads(1)
    if hasattr(signal, "sigwaitinfo"):
        threading.Thread(target=_heed_parent, args=(os.getppid(),), daemon=True).start()


def _heed_parent(parent: int) -> None:
    """End this process once its parent says so, which ends what is left of its workers in this way."""
    while True:
        received = signal.sigwaitinfo(ENDING)
        if received.si_signo == signal.SIGTERM and received.si_pid == parent:
            os._exit(0)


def _fields(name: str, recipe: DataRecipe, sample: Sample) -> dict[str, str]:
    """Name in the batch -> field of the sample."""
    fields = recipe.fields or {field: field for field in sample.files}
    for field in fields.values():
        if field not in sample.files:
            raise ValueError(
                f"data.{name}.fields: the layout {recipe.layout!r} has no field {field!r}, "
                f"only {', '.join(sample.files)}"
            )
    return fields


def _check_names(fields: Mapping[str, Mapping[str, str]]) -> None:
    """Streams fill the same names of the batch together, or have none in common."""
    names = [set(given) for given in fields.values()]
    for index, one in enumerate(names):
        for other in names[:index]:
            if one & other and one != other:
                raise ValueError(
                    f"two streams share {', '.join(sorted(one & other))} in the batch, but not "
                    f"{', '.join(sorted(one ^ other))}; set `fields`"
                )


def _joined(name: str, pictures: Sequence[Tensor]) -> Tensor:
    """Pictures [N, 3, H, W] of several streams as one batch."""
    sizes = {tuple(part.shape[2:]) for part in pictures}
    if len(sizes) > 1:
        given = ", ".join(f"{height}x{width}" for height, width in sorted(sizes))
        raise ValueError(f"streams that fill `{name}` together must give one size; they give {given}: set `crop`")
    return torch.cat(list(pictures))
