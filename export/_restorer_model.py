"""The contract of restorers, for a network that works on another network's results."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from service.contract import ANSWER, CORRECTION, IMAGE


class RestorerModel(nn.Module):
    """Such a network from an answer and its photo to the correction to add to the answer.

    Args:
        network: has `correction(answer, dark)`, float [N, 3, H, W] in [0, 1] twice -> the same shape.
    """

    inputs = (ANSWER, IMAGE)
    outputs = (CORRECTION,)

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        # A buffer rather than a number: its type, which `half()` changes, is the type that the network computes in.
        self.register_buffer("peak", torch.tensor(255.0))
        self.peak: Tensor

    def forward(self, answer: Tensor, image: Tensor) -> Tensor:
        """The correction of an answer.

        Args:
            answer: uint8 [N, H, W, 3], sRGB, what a model made of the photo; sides are multiples of 8.
            image: uint8 [N, H, W, 3], sRGB, the photo.

        Returns:
            float32 [N, H, W, 3], code values where 1 is white.
        """
        bright = answer.permute(0, 3, 1, 2).to(self.peak.dtype) / self.peak
        dark = image.permute(0, 3, 1, 2).to(self.peak.dtype) / self.peak
        correction = self.network.correction(bright, dark)  # type: ignore[operator]
        return correction.permute(0, 2, 3, 1).to(torch.float32)
