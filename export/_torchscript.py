"""A pixel model as a TorchScript file.

TorchScript is a compatibility format. Models are scripted, not traced, so that every size and batch takes the same
code, and they are not frozen: weights stay parameters, which a GPU engine may move, cast or freeze, and from which
the network can be restored (`training.checkpoints.load_checkpoint`). They need not be committed: `_copies.py` makes
them from the committed weights.
"""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Mapping

import torch

from export._graphs import ExportedGraph

FILE = "model.pt"
FACTS = "nightlift.json"

DEPRECATIONS = (r"`torch\.jit\.script` is deprecated", r"`torch\.jit\.save` is deprecated")
SOURCE_POSITIONS = ".debug_pkl"
EARLIEST = (1980, 1, 1, 0, 0, 0)  # the earliest date in zip files, so that the same model always gives the same bytes


def to_torchscript(model: ExportedGraph, facts: Mapping[str, str]) -> bytes:
    """The model as a TorchScript archive; `facts` lie in it as the extra file `nightlift.json`."""
    archive = io.BytesIO()
    with warnings.catch_warnings():
        for message in DEPRECATIONS:
            warnings.filterwarnings("ignore", message, DeprecationWarning)
        scripted = torch.jit.script(model)
        torch.jit.save(scripted, archive, _extra_files={FACTS: json.dumps(dict(facts), indent=2)})
    return _without_source_positions(archive)


def _without_source_positions(archive: io.BytesIO) -> bytes:
    """The same archive, compressed, without the tables that point into the exporting machine's source files."""
    result = io.BytesIO()
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(result, "w") as new:
        for entry in old.infolist():
            if not entry.filename.endswith(SOURCE_POSITIONS):
                copy = zipfile.ZipInfo(entry.filename, EARLIEST)
                copy.compress_type = zipfile.ZIP_DEFLATED  # halves weights that were rounded to 16 bits
                new.writestr(copy, old.read(entry))
    return result.getvalue()
