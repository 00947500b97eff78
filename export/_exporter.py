"""From a checkpoint to version folders in a model repository: build, measure, and only then write."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version as library_version
from pathlib import Path
from typing import Any

from torch import nn

from export import _onnx, _torchscript
from export._affine_model import pixel_model
from export._card import best_scores, licence_line, model_card, notice
from export._compact import round_weights
from export._config import FILES, write_config
from export._families import family
from export._parity import FULL_SIZE, SIZES, Parity, Run, measure, onnx_runner, torch_runner, torchscript_runner
from export._pixel_model import SMALLEST_SIDE
from export._records import (
    MANIFEST,
    PARITY,
    SCORES,
    Record,
    as_json,
    parity_report,
    read_record,
    sha256,
    versions,
    without_folders,
)
from training import networks
from training.checkpoints import build_network, load_checkpoint
from training.networks import NetworkSpec, load_official

FORMATS = tuple(FILES)
SUFFIX = {"onnx": "", "torchscript": "_torchscript"}
LIBRARIES = ("torch", "onnx", "onnxruntime", "onnxslim")


@dataclass(frozen=True)
class ExportedModel:
    """One version folder that was written: its model file and its measured differences to torch."""

    file: Path
    parity: Parity

    def __str__(self) -> str:
        return f"{self.file}: {self.file.stat().st_size / 1000:,.0f} kB, at most {self.parity.worst}"


@dataclass(frozen=True)
class ExportReport:
    """What an export wrote, one entry a format."""

    models: tuple[ExportedModel, ...]

    def __str__(self) -> str:
        return "\n".join(str(model) for model in self.models)


def export_checkpoint(
    checkpoint: Path,
    repository: Path,
    *,
    options: Mapping[str, Any] | None = None,
    formats: Sequence[str] = FORMATS,
    name: str | None = None,
    version: int | None = None,
    overwrite: bool = False,
    scores: Path | None = None,
    full_size: bool = True,
) -> ExportReport:
    """Export a training checkpoint as a new version of a model, with config.pbtxt, card, NOTICE and records.

    Nothing is written unless every format agrees with torch.

    Args:
        checkpoint: a file that training wrote.
        repository: the model repository's folder; made if absent.
        options: of the network, in the place of those that it was trained with; the weights have to fit.
        formats: of `onnx` and `torchscript`; the latter's folder is called `<name>_torchscript`.
        name: the model's name; None: the network's.
        version: number of the version; None: one more than the highest that is there.
        overwrite: whether an existing version may be replaced.
        scores: JSON of `nightlift evaluate` for the card and listings.
        full_size: whether agreement is also measured at 400x600, which takes a minute for the large networks.

    Raises:
        FileNotFoundError: there is no such file, or nothing is written about the network in `families/`.
        FileExistsError: the version exists, and `overwrite` is false.
        ParityError: an exported file differs from torch by more than 1/255.
        ValueError: the file is no training checkpoint, a format is unknown, or the network has no such option.
    """
    changed = dict(options or {})
    words = [word for key, value in changed.items() for word in ("--option", f"{key}={json.dumps(value)}")]
    command = shlex.join(["nightlift", "export", str(checkpoint), *words])
    content = load_checkpoint(checkpoint)
    content["options"] |= changed
    target = _Target(repository, name or content["network"], tuple(formats), version, overwrite)
    return _export(_Origin.of(command, (checkpoint,), content), target, scores, full_size)


def import_official(
    file: Path | Sequence[Path],
    repository: Path,
    *,
    network: str | None = None,
    formats: Sequence[str] = FORMATS,
    name: str | None = None,
    version: int | None = None,
    overwrite: bool = False,
    scores: Path | None = None,
    full_size: bool = True,
) -> ExportReport:
    """Export a checkpoint as its authors published it; its name ends in `_official` unless given.

    Args:
        file: the published file, or files where the authors split the network.
        network: our name of the network, where the weights fit several.
        repository, formats, name, version, overwrite, scores, full_size: as for `export_checkpoint`.

    Raises:
        As `export_checkpoint`; ValueError also if the keys and shapes fit no network.
    """
    files = (file,) if isinstance(file, Path) else tuple(file)
    content = load_official(files, network)
    command = f"nightlift export --from-official {' '.join(str(path) for path in files)}"
    target = _Target(repository, name or f"{content['network']}_official", tuple(formats), version, overwrite)
    return _export(_Origin.of(command, files, content), target, scores, full_size)


def describe(record: Record) -> None:
    """Write a model's config.pbtxt, card and NOTICE anew from its records and the hand-written part."""
    manifest, prose = record.manifest, family(record.manifest["family"])
    text = write_config(
        record.name,
        manifest["format"],
        networks.spec(manifest["family"]),
        max_pixels=prose.max_pixels,
        tolerance=record.parity.worst.maximum,
        licence=licence_line(manifest["training"], manifest["family"]),
        scores=best_scores(record.scores, manifest["scored_as"]),
    )
    model = record.folder.parent
    _replace(model / "MODEL_CARD.md", model_card(record))
    _replace(model / "NOTICE", notice(record))
    # Last, for a folder without config.pbtxt is no model yet.
    _replace(model / "config.pbtxt", text)


@dataclass(frozen=True)
class _Origin:
    """Where weights come from: the command that exports them, their files, and the checkpoint inside."""

    command: str
    files: tuple[Path, ...]
    checkpoint: dict[str, Any]
    sha256: str

    @classmethod
    def of(cls, command: str, files: tuple[Path, ...], checkpoint: dict[str, Any]) -> _Origin:
        """With one hash over all files, taken now: a running training may replace them during an export."""
        return cls(command, files, checkpoint, sha256(b"".join(path.read_bytes() for path in files)))


@dataclass(frozen=True)
class _Target:
    """Where weights go; all formats of one export get the same version number."""

    repository: Path
    name: str
    formats: tuple[str, ...]
    version: int | None
    overwrite: bool

    def folders(self) -> dict[str, Path]:
        """Format -> version folder, free to be written."""
        if not self.formats or not set(self.formats) <= set(FORMATS):
            raise ValueError(f"formats are {', '.join(self.formats) or 'none'}; choose of {', '.join(FORMATS)}")
        models = {format: self.repository / f"{self.name}{SUFFIX[format]}" for format in self.formats}
        present = [number for model in models.values() for number in versions(model)]
        number = self.version if self.version is not None else max(present, default=0) + 1
        if number < 1:
            raise ValueError(f"version is {number}; versions count from 1")
        folders = {format: model / str(number) for format, model in models.items()}
        taken = [folder for folder in folders.values() if folder.exists()]
        if taken and not self.overwrite:
            raise FileExistsError(f"{taken[0]} exists; choose another version, or overwrite it on purpose")
        return folders


@dataclass(frozen=True)
class _Built:
    """A model file in memory, agreeing with torch."""

    format: str
    folder: Path
    content: bytes
    parity: Parity


def _export(origin: _Origin, target: _Target, scores: Path | None, full_size: bool) -> ExportReport:
    spec = networks.spec(origin.checkpoint["network"])
    family(spec.name)  # without a word about the network there is no honest card: fail before the work
    folders = target.folders()
    network = round_weights(build_network(origin.checkpoint))
    sizes = (*SIZES, FULL_SIZE) if full_size else SIZES
    built = [_build(format, folder, network, spec, origin, sizes) for format, folder in folders.items()]

    exported = []
    for model in built:
        manifest = _manifest(model, origin, spec, network, scored_as=target.name)
        _write_version(model, manifest, scores)
        describe(read_record(model.folder))
        exported.append(ExportedModel(model.folder / FILES[model.format], model.parity))
    return ExportReport(tuple(exported))


def _build(
    format: str,
    folder: Path,
    network: nn.Module,
    spec: NetworkSpec,
    origin: _Origin,
    sizes: Sequence[tuple[int, int]],
) -> _Built:
    model = pixel_model(network, spec).eval()
    facts = {
        "family": spec.name,
        "spatial_scope": spec.spatial_scope,
        "multiple": str(spec.multiple),
        "smallest_side": str(SMALLEST_SIDE),
        "colours": "sRGB code values, RGB, uint8",
        "checkpoint_sha256": origin.sha256,
        "command": without_folders(origin.command),
        "nightlift": library_version("nightlift"),
    }
    if format == "onnx":
        content = _onnx.to_onnx(model, facts)
        exported: Run = onnx_runner(content)
    else:
        content = _torchscript.to_torchscript(model, facts)
        exported = torchscript_runner(content)
    parity = measure(torch_runner(model), exported, sizes)
    parity.require(f"{folder.parent.name}/{FILES[format]}")
    return _Built(format, folder, content, parity)


def _manifest(
    model: _Built, origin: _Origin, spec: NetworkSpec, network: nn.Module, scored_as: str
) -> dict[str, Any]:
    return {
        "family": spec.name,
        "format": model.format,
        "scored_as": scored_as,
        "file": {"sha256": sha256(model.content), "bytes": len(model.content)},
        "network": {
            "options": origin.checkpoint["options"],
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
            "spec": asdict(spec),
        },
        "checkpoint": {"files": [path.name for path in origin.files], "sha256": origin.sha256},
        "exported_by": {
            "command": without_folders(origin.command),
            "libraries": {name: library_version(name) for name in ("nightlift", *LIBRARIES)},
        },
        "training": without_folders(origin.checkpoint["manifest"]),
    }


def _write_version(model: _Built, manifest: dict[str, Any], scores: Path | None) -> None:
    """Put a version folder in place whole: its name appears when all files are in it."""
    model.folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=model.folder.parent))
    try:
        (unfinished / FILES[model.format]).write_bytes(model.content)
        (unfinished / MANIFEST).write_text(as_json(manifest), encoding="utf-8")
        (unfinished / PARITY).write_text(parity_report(manifest["file"]["sha256"], model.parity), encoding="utf-8")
        if scores is not None:
            shutil.copyfile(scores, unfinished / SCORES)
        unfinished.chmod(0o755)
        if model.folder.exists():
            shutil.rmtree(model.folder)
        unfinished.rename(model.folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _replace(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old or the new one, never a part."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
