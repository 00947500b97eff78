"""TorchScript variants of models, made from the weights beside their ONNX files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from export._graphs import SUFFIX, Graph
from export._records import MANIFEST, SCORES, Record, read_record, records, sha256
from export._repository import kept_weights
from export._version import ExportedModel, ExportReport, Origin, build_versions
from training.checkpoints import load_checkpoint

FORMAT = "torchscript"


def make_torchscript(
    repository: Path,
    models: Sequence[str] = (),
    to: Path | None = None,
    *,
    overwrite: bool = False,
    full_size: bool = True,
) -> ExportReport:
    """Make the TorchScript variant of the latest version of models, as `export_checkpoint` would have written it.

    A variant that is there already, of the same weights, stays as it is.

    Args:
        repository: the model repository.
        models: names of its ONNX models; those that make their maps are included. None named: all.
        to: the repository to write into; None: the same.
        overwrite: whether to replace variants that are there.
        full_size: whether agreement with torch is also measured at 400x600.

    Returns:
        Every variant, those included that were there.

    Raises:
        FileNotFoundError: a named model is not there, or its weights are not.
        FileExistsError: a variant of other weights is there, and `overwrite` is false; nothing is written.
        ParityError: a file differs from torch by more than 1/255; it is not written.
    """
    found = {record.name: record for record in records(repository) if record.manifest["format"] == "onnx"}
    missing = sorted(set(models) - found.keys())
    if missing:
        raise FileNotFoundError(
            f"no exported ONNX model is called {', '.join(missing)} in {repository}, "
            f"but {', '.join(found) or 'none is there'}"
        )
    chosen = [
        record
        for name, record in found.items()
        if not models or name in models or (record.graph is Graph.MAPS and record.manifest["scored_as"] in models)
    ]
    chosen.sort(key=lambda record: (record.manifest["scored_as"], record.graph))  # maps first
    folders = {record.name: _folder(record, to or repository) for record in chosen}
    present = {name for name, folder in folders.items() if folder.exists() and not overwrite}
    for record in chosen:
        if record.name in present and not _is_whole(folders[record.name], record):
            raise FileExistsError(f"{folders[record.name]} has other weights; use overwrite to replace it")
    return ExportReport(
        tuple(
            _present(folders[record.name])
            if record.name in present
            else _make(record, folders[record.name], full_size=full_size)
            for record in chosen
        )
    )


def _folder(record: Record, repository: Path) -> Path:
    return repository / f"{record.name}{SUFFIX[FORMAT]}" / record.folder.name


def _is_whole(folder: Path, record: Record) -> bool:
    """Whether a version folder holds a variant of this model's weights, its file the one that was measured."""
    if not (folder / MANIFEST).is_file():
        return False
    variant = read_record(folder)
    same_weights = variant.manifest.get("weights") == record.manifest.get("weights")
    return same_weights and variant.file.is_file() and sha256(variant.file.read_bytes()) == variant.measured_sha256


def _present(folder: Path) -> ExportedModel:
    variant = read_record(folder)
    return ExportedModel(variant.file, variant.parity)


def _make(record: Record, folder: Path, *, full_size: bool) -> ExportedModel:
    manifest, scores = record.manifest, record.folder / SCORES
    origin = Origin(
        manifest["exported_by"]["command"],
        tuple(Path(name) for name in manifest["checkpoint"]["files"]),
        load_checkpoint(kept_weights(record)),
        manifest["checkpoint"]["sha256"],
    )
    folders = {(record.graph, FORMAT): folder}
    (built,) = build_versions(origin, folders, manifest["scored_as"], full_size=full_size)
    return built.write(scores=scores if scores.is_file() else None, with_weights=False)
