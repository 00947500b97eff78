"""The results of an evaluation, as values, as a Markdown table and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

CONVENTIONS = (
    "PSNR in dB over RGB; SSIM with a Gaussian window 11, sigma 1.5, borders left out, mean of channels; results "
    "rounded to 8 bit. 'GT-mean': brightness first scaled to the reference's, which no service can do. "
    "Strength 1, no protection, no gate. MACs without elementwise operations."
)


@dataclass(frozen=True)
class Row:
    """Means over all pictures for one way of brightening; None where it cannot be measured.

    Attributes:
        name: the model, `input`, or a plain method.
        detail: `whole` or `guided`.
        psnr, ssim: against the references.
        psnr_gt_mean, ssim_gt_mean: the same after matching the mean brightness.
        niqe: without reference; lower is better.
        brightness: mean code value of the results, of 1.
        seconds: median time a picture.
    """

    name: str
    detail: str
    psnr: float | None
    ssim: float | None
    psnr_gt_mean: float | None
    ssim_gt_mean: float | None
    niqe: float | None
    brightness: float
    seconds: float


@dataclass(frozen=True)
class ModelFacts:
    """A model's file, size and cost; None where its network is not ours.

    Attributes:
        name: as in the rows.
        file: name of the file that was run.
        bytes: its size.
        sha256: its hash.
        parameters: trained values.
        macs_256, macs_400x600: multiply-accumulates at these sizes.
    """

    name: str
    file: str
    bytes: int
    sha256: str
    parameters: int | None
    macs_256: int | None
    macs_400x600: int | None


@dataclass(frozen=True)
class Evaluation:
    """A whole evaluation.

    Attributes:
        data: layout, split and number of pictures.
        machine: processor, threads, and versions of libraries.
        rows: the plain methods first.
        models: facts about the models in the rows.
    """

    data: dict[str, Any]
    machine: dict[str, Any]
    rows: tuple[Row, ...]
    models: tuple[ModelFacts, ...]

    def to_json(self) -> str:
        """Everything, with the conventions of the scores."""
        return json.dumps({"conventions": CONVENTIONS, **asdict(self)}, indent=2) + "\n"

    def to_markdown(self) -> str:
        """Two tables, scores and costs, and how to read them."""
        scores = _table(
            ("", "detail", "PSNR", "SSIM", "PSNR, GT-mean", "SSIM, GT-mean", "NIQE", "brightness", "s/picture"),
            [
                (
                    row.name,
                    row.detail,
                    _number(row.psnr, 2),
                    _number(row.ssim, 3),
                    _number(row.psnr_gt_mean, 2),
                    _number(row.ssim_gt_mean, 3),
                    _number(row.niqe, 2),
                    _number(row.brightness, 3),
                    _number(row.seconds, 3),
                )
                for row in self.rows
            ],
        )
        costs = _table(
            ("", "file", "kB", "parameters", "GMACs 256x256", "GMACs 400x600"),
            [
                (
                    facts.name,
                    facts.file,
                    f"{facts.bytes / 1000:.0f}",
                    "" if facts.parameters is None else f"{facts.parameters:,}",
                    _number(facts.macs_256 and facts.macs_256 / 1e9, 2),
                    _number(facts.macs_400x600 and facts.macs_400x600 / 1e9, 2),
                )
                for facts in self.models
            ],
        )
        about = f"{self.data['pictures']} pictures, layout {self.data['layout']}, split {self.data['split']}."
        return (
            "\n\n".join(part for part in (scores, costs if self.models else "", f"{about} {CONVENTIONS}") if part)
            + "\n"
        )


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns that are empty throughout are left out; all but the first are right-aligned."""
    kept = [i for i in range(len(header)) if i == 0 or any(row[i] for row in rows)]
    lines = [[header[i] for i in kept], ["---" if i == 0 else "---:" for i in kept]]
    lines += [[row[i] for i in kept] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
