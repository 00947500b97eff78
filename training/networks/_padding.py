"""Making both sides a multiple of what a network needs."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def pad_to_multiple(image: Tensor, multiple: int) -> tuple[Tensor, tuple[int, int]]:
    """Extend a picture at the bottom and right by reflection until both sides are multiples.

    Args:
        image: float [N, C, H, W].
        multiple: positive number of pixels.

    Returns:
        The padded picture, and the original (H, W) to crop the result to.
        Where a side is too short to be reflected (padding >= side), its last row or column is repeated.
    """
    height, width = int(image.shape[2]), int(image.shape[3])
    bottom = (height + multiple - 1) // multiple * multiple - height
    right = (width + multiple - 1) // multiple * multiple - width
    if bottom == 0 and right == 0:
        return image, (height, width)
    mode = "reflect" if bottom < height and right < width else "replicate"
    return F.pad(image, (0, right, 0, bottom), mode=mode), (height, width)
