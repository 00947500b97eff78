"""A 5x5 depthwise convolution that trains quickly on a CPU.

oneDNN computes the gradient of a 5x5 depthwise kernel about ten times slower in bfloat16 than the convolution itself
deserves (391 ms against 47 ms for [2,160,128,192] on one core), while the 3x3 case is fast. A 5x5 kernel's gradient
is put together from four 3x3 ones at shifted inputs: the same sums, so the same gradient to rounding.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DepthwiseConv5x5(nn.Conv2d):
    """[N,C,H,W] -> [N,C,H,W], a 5x5 kernel per channel, zero padding, no bias."""

    def __init__(self, width: int) -> None:
        super().__init__(width, width, 5, padding=2, groups=width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """The plain convolution, but for training on a CPU."""
        if not torch.jit.is_scripting() and self.training and x.device.type == "cpu":
            return _TrainingConv5x5.apply(x, self.weight)
        return F.conv2d(x, self.weight, padding=2, groups=self.groups)


class _TrainingConv5x5(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        y = F.conv2d(x, weight, padding=2, groups=x.shape[1])
        # Autocast may have worked in a lower precision: the gradient does too.
        ctx.save_for_backward(x.to(y.dtype), weight.to(y.dtype))
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        of_input, _ = _gradients(gradient, x, weight, padding=2, mask=(True, False))
        height, width = x.shape[-2:]
        padded = F.pad(x, (2, 2, 2, 2))
        of_weight = torch.zeros(weight.shape, dtype=torch.promote_types(weight.dtype, torch.float32))
        # The four blocks overlap in the middle row and column, where they agree.
        for top in (0, 2):
            for left in (0, 2):
                window = padded[..., top : top + height + 2, left : left + width + 2]
                window = window.contiguous(memory_format=torch.channels_last)
                corner = weight[..., :3, :3]
                block = _gradients(gradient, window, corner, padding=0, mask=(False, True))[1]
                of_weight[..., top : top + 3, left : left + 3] = block
        return of_input, of_weight


def _gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, padding: int, mask: tuple[bool, bool]
) -> tuple[Tensor, Tensor]:
    """Of a depthwise convolution's input and of its weight; only what `mask` asks for is computed."""
    of_input, of_weight, _ = torch.ops.aten.convolution_backward(
        gradient,
        x,
        weight,
        None,
        stride=(1, 1),
        padding=(padding, padding),
        dilation=(1, 1),
        transposed=False,
        output_padding=(0, 0),
        groups=x.shape[1],
        output_mask=(*mask, False),
    )
    return of_input, of_weight
