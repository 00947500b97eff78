"""Export: training checkpoints become models that any engine can serve, with proof that they compute the same.

python -m export.card      writes cards, NOTICEs and config.pbtxt anew from the records
python -m export.parity    measures every model against its network anew
"""

from export._exporter import ExportedModel, ExportReport, export_checkpoint, import_official
from export._parity import Difference, Parity, ParityError
from export._pixel_model import SMALLEST_SIDE, PixelModel
from export._repository import changed_files, remeasure, write_cards

__all__ = [
    "SMALLEST_SIDE",
    "Difference",
    "ExportReport",
    "ExportedModel",
    "Parity",
    "ParityError",
    "PixelModel",
    "changed_files",
    "export_checkpoint",
    "import_official",
    "remeasure",
    "write_cards",
]
