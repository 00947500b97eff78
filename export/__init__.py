"""Export: training checkpoints become models that any engine can serve, with measured agreement.

python -m export.card           rewrites cards, NOTICEs and config.pbtxt from the records
python -m export.parity         measures every model against its network again
python -m export.torchscript    makes TorchScript variants of models from their weights
"""

from export._copies import make_torchscript
from export._exporter import export_checkpoint, import_official
from export._families import Family, family
from export._parity import Difference, Parity, ParityError
from export._pixel_model import PixelModel
from export._records import Record, read_record
from export._repository import changed_files, remeasure, write_cards
from export._version import ExportedModel, ExportReport

__all__ = [
    "Difference",
    "ExportReport",
    "ExportedModel",
    "Family",
    "Parity",
    "ParityError",
    "PixelModel",
    "Record",
    "changed_files",
    "export_checkpoint",
    "family",
    "import_official",
    "make_torchscript",
    "read_record",
    "remeasure",
    "write_cards",
]
