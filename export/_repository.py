"""Looking after a repository of exported models: cards written anew, files checked, exactness measured again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from export import _torchscript
from export._affine_model import AffinePixelModel, pixel_model
from export._exporter import SUFFIX, describe
from export._parity import FULL_SIZE, SIZES, Parity, Run, measure, onnx_runner, torch_runner, torchscript_runner
from export._pixel_model import PixelModel
from export._records import MANIFEST, PARITY, SCORES, Record, parity_report, read_record, records, sha256
from training import networks
from training.checkpoints import build_network, load_checkpoint


def write_cards(repository: Path, models: Sequence[str] = (), scores: Path | None = None) -> list[Record]:
    """Write config.pbtxt, MODEL_CARD.md and NOTICE of the latest versions; nothing is measured or exported again.

    Args:
        repository: the model repository.
        models: names of models; their other formats are included. None named: all.
        scores: JSON of `nightlift evaluate` to lay beside the named models first.

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
            (record.folder / SCORES).write_bytes(scores.read_bytes())
        chosen = [read_record(record.folder) for record in chosen]
    for record in chosen:
        describe(record)
    return chosen


def changed_files(repository: Path) -> list[str]:
    """One line for every model file that is not the one its records speak of."""
    lines = []
    for record in records(repository):
        actual = sha256(record.file.read_bytes())
        stated = {MANIFEST: record.manifest["file"]["sha256"], PARITY: record.measured_sha256}
        lines += [
            f"{record.file} has sha256 {actual[:12]}..., but {source} speaks of {other[:12]}..."
            for source, other in stated.items()
            if other != actual
        ]
    return lines


def remeasure(record: Record, sizes: Sequence[tuple[int, int]] = (*SIZES, FULL_SIZE)) -> Parity:
    """Measure a model against its network again at each (height, width); write its parity.json and its card.

    The network is restored from the weights of the TorchScript variant, so the repository is all that is needed.

    Raises:
        FileNotFoundError: there is no TorchScript variant of the same version.
        ParityError: the file differs from torch by more than 1/255; nothing is written.
    """
    content = record.file.read_bytes()
    exported: Run = onnx_runner(content) if record.manifest["format"] == "onnx" else torchscript_runner(content)
    parity = measure(torch_runner(restored(record)), exported, sizes)
    parity.require(str(record.file))
    (record.folder / PARITY).write_text(parity_report(sha256(content), parity), encoding="utf-8")
    describe(read_record(record.folder))
    return parity


def restored(record: Record) -> PixelModel | AffinePixelModel:
    """The network under the pixel contract, eager, with the weights of the TorchScript variant."""
    spec = networks.spec(record.manifest["family"])
    sibling = f"{record.manifest['scored_as']}{SUFFIX['torchscript']}"
    file = record.folder.parent.parent / sibling / record.folder.name / _torchscript.FILE
    if not file.is_file():
        raise FileNotFoundError(f"{record.name} cannot be compared with its network: {file} is missing")
    return pixel_model(build_network(load_checkpoint(file)), spec).eval()
