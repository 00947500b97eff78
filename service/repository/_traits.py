"""What a model says about itself beyond its tensors: the `nightlift.` parameters of its config.pbtxt."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from service.contract import MapLayout
from service.limits import SMALLEST_SIDE


class SpatialScope(StrEnum):
    """How far a network looks: `local` ones may be tiled exactly, `global` ones may not."""

    LOCAL = "local"
    GLOBAL = "global"


@dataclass(frozen=True)
class ModelTraits:
    """How a picture may meet a model.

    Attributes:
        family: name that groups the variants of one network (`zero_dce` for ONNX, TorchScript, fp16, ...).
        spatial_scope: whether tiles give the same result as the whole picture.
        halo: receptive-field radius in pixels; tiles overlap by it. Meaningful for `local` models only.
        multiple: sides the network itself pads to, in pixels; tile origins are multiples of it.
        working_side: long side in pixels of the proxy at which guided rendering runs the network.
        max_pixels: largest picture, in pixels, that `detail=auto` runs whole.
        tolerance: measured difference to the network in torch, in 1/255.
        map_layout: what the optional output `affine` holds.
        smallest_side: shortest side in pixels that the model accepts.
    """

    family: str
    spatial_scope: SpatialScope = SpatialScope.GLOBAL
    halo: int = 0
    multiple: int = 1
    working_side: int = 256
    max_pixels: int = 600 * 400
    tolerance: float = 1.0
    map_layout: MapLayout = MapLayout.NONE
    smallest_side: int = SMALLEST_SIDE
