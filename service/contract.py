"""What networks and the renderer agree on: names of tensors, layouts of colour maps, weights of luminance, traits.

Stated once, and light to import, so that serving, training and export can share it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from service.limits import MIN_SIDE

IMAGE = "image"
"""The input of every model that takes pictures: UINT8 [N, H, W, 3], RGB."""

ENHANCED = "enhanced"
"""The output of every model that takes pictures: UINT8 [N, H, W, 3], RGB."""

AFFINE = "affine"
"""The output of models that predict a colour map: FP32 [N, H, W, coefficients], see `MapLayout`."""

PROXY = "proxy"
"""An input of models that make colour maps from a proxy: FP32 [N, h, w, 3], code values from 0 to 1."""

EVIDENCE = "evidence"
"""Beside it: FP32 [N, h, w, 3], what the proxy hides, code values from 0 to 1 (`service.rendering`)."""

EXPOSURE = "exposure"
"""Beside it: FP32 [N, 1], stops around the brightness that the network would choose."""

BRIGHTNESS = "brightness"
"""Their second output: FP32 [N, 1], the brightness that the network would choose, in stops; 0 is white."""

ANSWER = "answer"
"""An input of a restorer, beside `image`: the enhanced photo, UINT8 [N, H, W, 3]."""

CORRECTION = "correction"
"""The output of a restorer: FP32 [N, H, W, 3], what to add to the answer, code values where 1 is white."""

RESTORER_MULTIPLE = 8
"""Sides of a restorer's inputs are multiples of this, in pixels."""

RESTORER_TILE = 576
"""Side in pixels of most tiles that a restorer gets."""

RESTORER_HALO = 32
"""Context in pixels that a restorer needs around a pixel; pixels beyond have no visible influence."""

EVIDENCE_CHANNELS = 3
EVIDENCE_SAMPLES = (2, 4)
"""Smallest and largest number of samples along each side of a proxy pixel from which evidence is computed."""

BT601 = (0.299, 0.587, 0.114)
"""Weights of R, G and B in luminance (Rec. ITU-R BT.601): in networks, losses and scores, as the field has it."""

BT709 = (0.2126, 0.7152, 0.0722)
"""Weights of R, G and B in luminance (Rec. ITU-R BT.709, as in sRGB): in measures of pictures and in `protect`."""


MAX_CHANNELS = 64
"""Most channels of a tensor that counts as a picture."""


def pixels_of(shapes: Iterable[Sequence[int]]) -> int:
    """The cost of one item of a batch, in pixels, by the shapes of its tensors without the batch axis.

    A tensor [H, W, channels] counts as a picture of H x W pixels; any other, or one with more than `MAX_CHANNELS`,
    counts as many pixels as it has values. The largest tensor decides.
    """
    return max(
        shape[0] * shape[1] if len(shape) == 3 and shape[2] <= MAX_CHANNELS else math.prod(shape) for shape in shapes
    )


class MapLayout(IntEnum):
    """How a predicted colour map turns a pixel's colour x into y; the value is the number of its coefficients.

    With m the local mean of the picture: x = m + (x - m), base and detail.
    """

    NONE = 0
    """The network predicts no map."""

    GAIN_AND_OFFSET = 6
    """y = gain * x + offset: three gains, three offsets."""

    MATRIX_AND_OFFSET = 12
    """y = M x + offset: for each channel of y, three factors and an offset."""

    BASE_AND_DETAIL = 15
    """y = gain * m + offset + M (x - m): three gains, three offsets, M row by row."""

    BASE_AND_CLEAN_DETAIL = 16
    """As `BASE_AND_DETAIL`, plus a factor on the detail's gain where the picture has no visible noise."""

    @property
    def has_base_and_detail(self) -> bool:
        """Whether base and detail are mapped separately."""
        return self in (MapLayout.BASE_AND_DETAIL, MapLayout.BASE_AND_CLEAN_DETAIL)


class SpatialScope(StrEnum):
    """How far a network looks: `local` ones may be tiled exactly, `global` ones may not."""

    LOCAL = "local"
    GLOBAL = "global"


@dataclass(frozen=True)
class ModelTraits:
    """How a model may be applied to pictures.

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
        map_model: name of the model that makes this network's colour map with the same weights, from a proxy, the
            detail that it hides and the wanted exposure. Empty: the model itself takes proxies.
    """

    family: str
    spatial_scope: SpatialScope = SpatialScope.GLOBAL
    halo: int = 0
    multiple: int = 1
    working_side: int = 256
    max_pixels: int = 600 * 400
    tolerance: float = 1.0
    map_layout: MapLayout = MapLayout.NONE
    smallest_side: int = MIN_SIDE
    map_model: str = ""
