"""Maintenance of a repository of exported models: rewriting cards, checking files, measuring agreement again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from export._comparison import compare
from export._graphs import SUFFIX, Graph
from export._parity import FULL_SIZE, SIZES, Parity
from export._records import MANIFEST, PARITY, SCORES, Record, parity_report, read_record, records, sha256
from export._version import write_descriptions
from training import networks
from training.checkpoints import WEIGHTS, build_network, load_checkpoint


def write_cards(repository: Path, models: Sequence[str] = (), scores: Path | None = None) -> list[Record]:
    """Rewrite config.pbtxt, MODEL_CARD.md and NOTICE of the latest versions, without measuring or exporting.

    Args:
        repository: the model repository.
        models: names of models; their other formats, and the models of their maps, are included. None named: all.
        scores: JSON of `nightlift evaluate` to store beside the named models first.

    Returns:
        The records that were described.

    Raises:
        FileNotFoundError: a named model is not there, or was not written by this package.
        ValueError: scores were given without saying for which models.
    """
    found = records(repository)
    missing = set(models) - {record.manifest["scored_as"] for record in found}
    if missing:
        raise FileNotFoundError(f"no exported model is called {', '.join(sorted(missing))} in {repository}")
    if scores is not None and not models:
        raise ValueError("name the models that the scores belong to")
    chosen = [record for record in found if not models or record.manifest["scored_as"] in models]
    if scores is not None:
        for record in chosen:
            if record.graph is Graph.MAPS:
                continue
            (record.folder / SCORES).write_bytes(scores.read_bytes())
        chosen = [read_record(record.folder) for record in chosen]
    for record in chosen:
        write_descriptions(record)
    return chosen


def changed_files(repository: Path) -> list[str]:
    """One line for every model file, and every weights file, that differs from its records."""
    lines = []
    for record in records(repository):
        stated = [
            (record.file, MANIFEST, record.manifest["file"]["sha256"]),
            (record.file, PARITY, record.measured_sha256),
        ]
        weights = record.folder / WEIGHTS
        if weights.is_file():
            stated.append((weights, MANIFEST, _weights_sha256(record)))
        for file, source, other in stated:
            actual = sha256(file.read_bytes())
            if other != actual:
                lines.append(f"{file} has sha256 {actual[:12]}..., but {source} speaks of {other[:12]}...")
    return lines


def remeasure(record: Record, sizes: Sequence[tuple[int, int]] = (*SIZES, FULL_SIZE)) -> Parity:
    """Measure a model against its network again at each (height, width); write its parity.json and its card.

    The network is restored from the kept weights, so the repository is all that is needed.

    Raises:
        FileNotFoundError: its weights are not there.
        ParityError: the file differs from torch by more than 1/255; nothing is written.
    """
    parity = measured(record, sizes)
    parity.require(str(record.file))
    report = parity_report(sha256(record.file.read_bytes()), parity)
    (record.folder / PARITY).write_text(report, encoding="utf-8")
    write_descriptions(read_record(record.folder))
    return parity


def measured(record: Record, sizes: Sequence[tuple[int, int]]) -> Parity:
    """The differences between a model's file and its network at each (height, width); nothing is written.

    Raises:
        FileNotFoundError: its weights are not there.
    """
    spec, content = networks.spec(record.manifest["family"]), record.file.read_bytes()
    return compare(content, record.manifest["format"], record.graph, _network(record), spec, sizes)


def _network(record: Record) -> nn.Module:
    return build_network(load_checkpoint(kept_weights(record)))


def kept_weights(record: Record) -> Path:
    """The `weights.safetensors` that a model was made of: beside its file, or in the same version's other format.

    Raises:
        FileNotFoundError: there is none with the hash that the manifest tells.
    """
    repository, name = record.folder.parent.parent, record.manifest["scored_as"]
    beside = [repository / f"{name}{suffix}" / record.folder.name for suffix in SUFFIX.values()]
    for folder in (record.folder, *beside):
        file = folder / WEIGHTS
        if file.is_file() and sha256(file.read_bytes()) == _weights_sha256(record):
            return file
    raise FileNotFoundError(
        f"{record.name}, version {record.folder.name}, lacks the {WEIGHTS} that its {MANIFEST} names; "
        "export its checkpoint again"
    )


def _weights_sha256(record: Record) -> str:
    """The hash of the weights in the manifest; empty if the version is older than such files."""
    return str(record.manifest.get("weights", {}).get("sha256", ""))
