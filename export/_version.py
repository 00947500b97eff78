"""One version folder: a model file that agrees with torch, its records, and its card."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version as library_version
from pathlib import Path
from typing import Any

from torch import nn

from export import _onnx, _torchscript
from export._card import best_scores, licence_line, model_card, notice
from export._compact import round_weights
from export._comparison import compare
from export._config import FILES, write_config
from export._families import family
from export._graphs import Graph, build_graph
from export._map_model import EvidencePixelModel, MapModel
from export._parity import FULL_SIZE, SIZES, Parity
from export._records import (
    MANIFEST,
    PARITY,
    SCORES,
    Record,
    as_json,
    parity_report,
    read_record,
    sha256,
    without_folders,
)
from service.limits import MIN_SIDE
from training import networks
from training.checkpoints import WEIGHTS, build_network, weights_file
from training.networks import NetworkSpec

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


@dataclass(frozen=True)
class Origin:
    """Where weights come from: the command that exports them, their files, and the checkpoint inside."""

    command: str
    files: tuple[Path, ...]
    checkpoint: dict[str, Any]
    sha256: str

    @classmethod
    def of(cls, command: str, files: tuple[Path, ...], checkpoint: dict[str, Any]) -> Origin:
        """With one hash over all files, taken now: a running training may replace them during an export."""
        return cls(command, files, checkpoint, sha256(b"".join(path.read_bytes() for path in files)))


@dataclass(frozen=True)
class BuiltVersion:
    """A version folder that is still in memory, its model agreeing with torch.

    Attributes:
        graph: which of the network's graphs.
        format: `onnx` or `torchscript`.
        folder: `<repository>/<model>/<version>`.
        content: of the model file.
        parity: measured differences to torch.
        manifest: what it was made of.
        weights: content of the `weights.safetensors` that it was made of.
    """

    graph: Graph
    format: str
    folder: Path
    content: bytes
    parity: Parity
    manifest: dict[str, Any]
    weights: bytes

    def write(self, *, scores: Path | None, with_weights: bool) -> ExportedModel:
        """Move the complete folder into place in one step; then write the model's descriptions."""
        parent = self.folder.parent
        parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=parent))
        try:
            (unfinished / FILES[self.format]).write_bytes(self.content)
            if with_weights:
                (unfinished / WEIGHTS).write_bytes(self.weights)
            (unfinished / MANIFEST).write_text(as_json(self.manifest), encoding="utf-8")
            (unfinished / PARITY).write_text(
                parity_report(self.manifest["file"]["sha256"], self.parity), encoding="utf-8"
            )
            if scores is not None:
                shutil.copyfile(scores, unfinished / SCORES)
            unfinished.chmod(0o755)
            if self.folder.exists():
                shutil.rmtree(self.folder)
            unfinished.rename(self.folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        write_descriptions(read_record(self.folder))
        return ExportedModel(self.folder / FILES[self.format], self.parity)


def build_versions(
    origin: Origin, folders: Mapping[tuple[Graph, str], Path], scored_as: str, *, full_size: bool
) -> list[BuiltVersion]:
    """Build everything for a checkpoint's version folders, without writing anything.

    Args:
        origin: the checkpoint.
        folders: graph and format -> version folder.
        scored_as: name of the model in evaluations.
        full_size: whether agreement with torch is also measured at 400x600.

    Raises:
        FileNotFoundError: `families/` has no text about the network.
        ParityError: a file differs from torch by more than 1/255.
    """
    spec = networks.spec(origin.checkpoint["network"])
    family(spec.name)  # fails early if there is no text for the card
    network = round_weights(build_network(origin.checkpoint))
    weights = weights_file(spec.name, origin.checkpoint["options"], network.state_dict())
    sizes = (*SIZES, FULL_SIZE) if full_size else SIZES
    built, core = [], None
    for (graph, format), folder in folders.items():
        model = build_graph(network, spec, graph)
        facts = _facts(spec, graph, origin)
        if format == "onnx":
            if core is None and isinstance(model, EvidencePixelModel | MapModel):
                core = _onnx.export_core(model)  # takes most of the time, and both graphs contain it
            content = _onnx.to_onnx(model, facts, core)
        else:
            content = _torchscript.to_torchscript(model, facts)
        parity = compare(content, format, graph, network, spec, sizes)
        parity.require(f"{folder.parent.name}/{FILES[format]}")
        manifest = _manifest(graph, format, content, weights, origin, spec, network, scored_as)
        built.append(BuiltVersion(graph, format, folder, content, parity, manifest, weights))
    return built


def write_descriptions(record: Record) -> None:
    """Rewrite a model's config.pbtxt, card and NOTICE from its records and the hand-written part."""
    manifest, prose = record.manifest, family(record.manifest["family"])
    text = write_config(
        record.name,
        manifest["format"],
        networks.spec(manifest["family"]),
        record.graph,
        scored_as=manifest["scored_as"],
        max_pixels=prose.max_pixels,
        tolerance=record.parity.worst.maximum,
        licence=licence_line(manifest["training"], manifest["family"]),
        scores=best_scores(record) if record.graph is Graph.PICTURES else {},
    )
    model = record.folder.parent
    _replace(model / "MODEL_CARD.md", model_card(record))
    _replace(model / "NOTICE", notice(record))
    # Last, since a folder without config.pbtxt does not count as a model yet.
    _replace(model / "config.pbtxt", text)


def _facts(spec: NetworkSpec, graph: Graph, origin: Origin) -> dict[str, str]:
    """Metadata for a model file."""
    of_maps, of_answers = graph is Graph.MAPS, graph is Graph.RESTORER
    return {
        "family": spec.name,
        "spatial_scope": spec.spatial_scope,
        "multiple": str(networks.STEP if of_maps else spec.multiple),
        "smallest_side": str(spec.smallest_side if of_answers else MIN_SIDE),
        "colours": f"sRGB code values, RGB, {'float32 from 0 to 1' if of_maps else 'uint8'}",
        "checkpoint_sha256": origin.sha256,
        "command": without_folders(origin.command),
        "nightlift": library_version("nightlift"),
    }


def _manifest(
    graph: Graph,
    format: str,
    content: bytes,
    weights: bytes,
    origin: Origin,
    spec: NetworkSpec,
    network: nn.Module,
    scored_as: str,
) -> dict[str, Any]:
    return {
        "family": spec.name,
        "format": format,
        "graph": str(graph),
        "scored_as": scored_as,
        "file": {"sha256": sha256(content), "bytes": len(content)},
        "weights": {"sha256": sha256(weights), "bytes": len(weights)},
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


def _replace(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old or the new one, never a part."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
