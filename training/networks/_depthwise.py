"""A 5x5 depthwise convolution that trains quickly on a CPU.

oneDNN is very slow at the gradient of a 5x5 depthwise kernel: for [2, 160, 168, 256] in bfloat16 it takes 600 ms on
two cores with AMX, and the convolution 19. The gradient of a dense kernel between 16 neighbouring channels is fast,
although only a sixteenth of it, the diagonal, is needed.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLOCK = 16
"""Channels of a dense kernel; if the channel count is not a multiple of it, the library's gradient is used."""


class DepthwiseConv5x5(nn.Conv2d):
    """[N, C, H, W] -> [N, C, H, W], a 5x5 kernel per channel, zero padding."""

    def __init__(self, width: int, bias: bool = False) -> None:
        super().__init__(width, width, 5, padding=2, groups=width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """The plain convolution, except for training on a CPU."""
        if not torch.jit.is_scripting() and self.training and x.device.type == "cpu":
            return _TrainingConv5x5.apply(x, self.weight, self.bias)
        return F.conv2d(x, self.weight, self.bias, padding=2, groups=self.groups)


class _TrainingConv5x5(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        y = F.conv2d(x, weight, bias, padding=2, groups=x.shape[1])
        # Autocast may have worked in a lower precision: the gradient does too.
        ctx.save_for_backward(x.to(y.dtype), weight.to(y.dtype))
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        x, weight = ctx.saved_tensors
        channels = x.shape[1]
        wants_bias = ctx.needs_input_grad[2]
        if channels % BLOCK:
            of_input, of_weight, of_bias = _gradients(gradient, x, weight, (True, True, wants_bias))
            return of_input, of_weight, of_bias if wants_bias else None
        of_input = _gradients(gradient, x, weight, (True, False, False))[0]
        dense = weight.new_empty(channels, BLOCK, 5, 5).contiguous(memory_format=torch.channels_last)
        _, of_dense, of_bias = _gradients(gradient, x, dense, (False, True, wants_bias))
        channel = torch.arange(channels)
        return of_input, of_dense[channel, channel % BLOCK].unsqueeze(1), of_bias if wants_bias else None


def _gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, mask: tuple[bool, bool, bool]
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of a 5x5 convolution's input, weight and bias; only those that `mask` selects are computed."""
    channels = x.shape[1]
    of_input, of_weight, of_bias = torch.ops.aten.convolution_backward(
        gradient,
        x,
        weight,
        [channels],
        stride=(1, 1),
        padding=(2, 2),
        dilation=(1, 1),
        transposed=False,
        output_padding=(0, 0),
        groups=channels // weight.shape[1],
        output_mask=mask,
    )
    return of_input, of_weight, of_bias
