"""From a checkpoint to version folders in a model repository: build, measure, and only then write."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export._config import FORMATS
from export._graphs import NAMES, SUFFIX, Graph, graphs_of, model_name
from export._records import versions
from export._version import ExportReport, Origin, build_versions
from training import networks
from training.checkpoints import load_checkpoint
from training.networks import load_official


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

    A network that predicts colour maps becomes two models: `<name>`, and `<name>_map`, which makes them. Nothing is
    written unless every format agrees with torch. The weights are stored as `weights.safetensors` beside the ONNX
    file, or beside the TorchScript file if that is the only one.

    Args:
        checkpoint: a file that training wrote, or a model's `weights.safetensors` or `model.pt`.
        repository: the model repository's folder; made if absent.
        options: of the network, instead of those that it was trained with; the weights have to fit.
        formats: of `onnx` and `torchscript`; the latter's folder is called `<name>_torchscript`.
        name: the model's name; None: the network's, of the restorer `nightlift_restorer`.
        version: number of the version; None: one more than the highest that is there.
        overwrite: whether an existing version may be replaced.
        scores: JSON of `nightlift evaluate` for the card and listings.
        full_size: whether agreement is also measured at 400x600, which takes a minute for the large networks.

    Raises:
        FileNotFoundError: there is no such file, or nothing is written about the network in `families/`.
        FileExistsError: the version exists, and `overwrite` is false.
        ParityError: an exported file differs from torch by more than 1/255.
        ValueError: the file is not a training checkpoint, a format is unknown, or the network has no such option.
    """
    changed = dict(options or {})
    words = [word for key, value in changed.items() for word in ("--option", f"{key}={json.dumps(value)}")]
    command = shlex.join(["nightlift", "export", str(checkpoint), *words])
    content = load_checkpoint(checkpoint)
    network, trained_with = content["network"], content["options"]
    content["options"] = {**trained_with, **changed}
    graphs = graphs_of(networks.spec(network))
    target = _Target(repository, name or NAMES.get(network, network), tuple(formats), version, overwrite, graphs)
    return _export(Origin.of(command, (checkpoint,), content), target, scores, full_size)


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
    return _export(Origin.of(command, files, content), target, scores, full_size)


@dataclass(frozen=True)
class _Target:
    """Where weights go; a version number means the same weights in every format."""

    repository: Path
    name: str
    formats: tuple[str, ...]
    version: int | None
    overwrite: bool
    graphs: tuple[Graph, ...] = (Graph.PICTURES,)

    def folders(self) -> dict[tuple[Graph, str], Path]:
        """Graph and format -> version folder, free to be written."""
        if not self.formats or not set(self.formats) <= set(FORMATS):
            raise ValueError(f"formats are {', '.join(self.formats) or 'none'}; choose from {', '.join(FORMATS)}")
        models = {
            (graph, format): self.repository / model_name(self.name, graph, format)
            for graph in self.graphs
            for format in self.formats
        }
        present = [
            number
            for graph in self.graphs
            for format in SUFFIX
            for number in versions(self.repository / model_name(self.name, graph, format))
        ]
        number = self.version if self.version is not None else max(present, default=0) + 1
        if number < 1:
            raise ValueError(f"version is {number}; versions count from 1")
        folders = {kind: model / str(number) for kind, model in models.items()}
        taken = [folder for folder in folders.values() if folder.exists()]
        if taken and not self.overwrite:
            raise FileExistsError(f"{taken[0]} exists; choose another version, or use overwrite to replace it")
        return folders


def _export(origin: Origin, target: _Target, scores: Path | None, full_size: bool) -> ExportReport:
    built = build_versions(origin, target.folders(), target.name, full_size=full_size)
    keeper = "onnx" if "onnx" in target.formats else target.formats[0]
    return ExportReport(
        tuple(
            one.write(scores=scores, with_weights=one.format == keeper)
            if one.graph is not Graph.MAPS
            else one.write(scores=None, with_weights=False)
            for one in built
        )
    )
