"""Our weights compared with the authors' published results: `python -m benchmarks.published --photos data/LIME`.

Four tables, each about one of the authors' claims:

- files: the file of the improved Zero-DCE is a third of the original's (97 kB instead of 312);
- time: it takes 66 to 90 % of the original's time on the first nine photos of LIME (`benchmarks.per_picture`);
- scores: PSNR and SSIM of every served network on LOLv1's eval15, with the published values;
- naturalness: DRBN's second stage has a better NIQE than its first, if both are served.

Without --photos, only files and scores are shown, which need no measurement.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks._tables import machine, table
from benchmarks.per_picture import ROUNDS, find_photos
from benchmarks.per_picture import run as time_photos
from export import family, read_record
from service.errors import NightliftError
from service.rendering import Detail
from service.repository import ModelRepository, ModelVersion
from service.settings import Settings
from training.checkpoints import WEIGHTS
from training.evaluation import evaluate

ORIGINAL_AND_IMPROVED = ("zero_dce", "zero_dce_improved")
STAGES = ("drbn", "drbn_perceptual")
PHOTOS = 9
"""Number of LIME's photos that are timed in the README of the improved network."""

DETAILS = ("whole", "guided")


def file_sizes(repository: ModelRepository, names: Sequence[str] = ORIGINAL_AND_IMPROVED) -> str:
    """A table of file sizes, also as a fraction of the first model's, and the published results of the last model.

    Raises:
        ValueError: if a model does not exist.
    """
    versions = [_latest(repository, name) for name in names]
    rows = []
    for part in (None, WEIGHTS):
        files = [version.path if part is None else version.path.with_name(part) for version in versions]
        sizes = [file.stat().st_size if file.is_file() else None for file in files]
        first = sizes[0]
        for version, file, size in zip(versions, files, sizes, strict=True):
            share = "" if size is None or first is None else f"{size / first:.2f}"
            rows.append([version.name, file.name, "" if size is None else f"{size / 1000:,.0f}", share])
    sizes_table = table(["model", "file", "kB", f"of {names[0]}'s"], rows)
    return f"{sizes_table}\n\nReported of {names[-1]}: {_reported(versions[-1])}."


def scores(repository: ModelRepository) -> str:
    """PSNR and SSIM of every model that takes pictures and has scores, with the published results of its network."""
    rows = []
    for name in repository.names():
        version = _latest(repository, name)
        if version.config.takes_pictures and version.config.scores:
            rows.append([name, *_measured(version), _reported(version)])
    return table(["model", *(f"{detail}, dB / SSIM" for detail in DETAILS), "reported"], rows)


def naturalness(repository: Path, photos: Path, names: Sequence[str] = STAGES) -> str:
    """NIQE of models on a folder of photos without references, or a sentence about which models are missing.

    Raises:
        FileNotFoundError: if NIQE's parameters are not installed.
        ValueError: if a photo has a side of less than 192 pixels.
    """
    there = ModelRepository(repository).names()
    if missing := [name for name in names if name not in there]:
        return f"Nothing to compare without {' and '.join(missing)}."
    found = evaluate(
        list(names), photos, layout="folder", details=DETAILS, repository=repository, with_niqe=True, plain=False
    )
    niqe = {(row.name, row.detail): row.niqe for row in found.rows}
    columns = ["model", *(f"NIQE, {detail}" for detail in DETAILS)]
    rows = [[name, *(f"{niqe[name, detail]:.2f}" for detail in DETAILS)] for name in names]
    return f"{table(columns, rows)}\n\n{found.data['pictures']} photos; lower is better."


def _latest(repository: ModelRepository, name: str) -> ModelVersion:
    if name not in repository.names():
        raise ValueError(f"there is no model {name}; choose of {', '.join(repository.names()) or 'none'}")
    return repository.servable(name)[-1]


def _measured(version: ModelVersion) -> list[str]:
    """The recorded scores of a model version for each kind of rendering."""
    record = read_record(version.path.parent)
    known_as = record.manifest.get("scored_as", version.name)
    rows = {row["detail"]: row for row in record.scores.get("rows", ()) if row["name"] == known_as}
    return [
        f"{rows[detail]['psnr']:.2f} / {rows[detail]['ssim']:.3f}" if detail in rows else "" for detail in DETAILS
    ]


def _reported(version: ModelVersion) -> str:
    try:
        entries = family(version.config.traits.family).reported
    except FileNotFoundError:
        return ""
    return "; ".join(f"{entry.figures} ({entry.source})" for entry in entries)


def run(settings: Settings, photos: Path | None, detail: Detail = Detail.WHOLE, rounds: int = ROUNDS) -> str:
    """All tables, as Markdown.

    Raises:
        FileNotFoundError, ValueError: if a model or photos are missing.
        NightliftError: if a photo cannot be enhanced.
    """
    repository = ModelRepository(settings.model_repository)
    parts = {"Files": file_sizes(repository)}
    if photos is not None:
        chosen = find_photos(photos)[:PHOTOS]
        if not chosen:
            raise FileNotFoundError(f"no pictures found in {photos}")
        parts["Time"] = asyncio.run(time_photos(settings, chosen, ORIGINAL_AND_IMPROVED, detail, rounds))
    parts["Scores on LOLv1 eval15"] = scores(repository)
    if photos is not None:
        parts["Naturalness"] = naturalness(settings.model_repository, photos)
    return "\n\n".join([*(f"{title}\n\n{text}" for title, text in parts.items()), machine()])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit code, 2 if something is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.published", description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, help="folder of dark photos; LIME's are comparable with the authors'")
    parser.add_argument("--detail", type=Detail, choices=list(Detail), default=Detail.WHOLE, help="for the times")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="measurements of each model on each photo")
    parser.add_argument("--out", type=Path, help="Markdown file to write; default: print to the terminal")
    args = parser.parse_args(arguments)
    try:
        text = run(Settings(), args.photos, args.detail, max(1, args.rounds))
    except (FileNotFoundError, ValueError, NightliftError) as error:
        print(error, file=sys.stderr)
        return 2
    if args.out is None:
        print(text)
    else:
        args.out.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
