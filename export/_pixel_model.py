"""The model contract: a network wrapped so that code values go in and code values come out."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from service.contract import ENHANCED
from training.networks import NetworkSpec


class FromCodeValues(nn.Module):
    """uint8 [N, H, W, 3] -> [N, 3, H', W'] in [0, 1], padded to multiples by reflection at the bottom and right."""

    def __init__(self, multiple: int) -> None:
        super().__init__()
        self.multiple = multiple
        # A buffer rather than a number: its type, which `half()` changes, is the type that the network computes in.
        self.register_buffer("peak", torch.tensor(255.0))
        self.peak: Tensor

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        picture = image.permute(0, 3, 1, 2).to(self.peak.dtype) / self.peak
        if self.multiple > 1:
            height, width = picture.shape[2], picture.shape[3]
            # The padded sides are written in the one form that torch's exporter understands.
            bottom = ((height + self.multiple - 1) // self.multiple) * self.multiple - height
            right = ((width + self.multiple - 1) // self.multiple) * self.multiple - width
            picture = F.pad(picture, [0, right, 0, bottom], mode="reflect")
        return picture


class ToCodeValues(nn.Module):
    """The network's answer [N, 3, H', W'] to `image` [N, H, W, 3] -> uint8 [N, H, W, 3], rounded half to even."""

    def __init__(self, gamma: float) -> None:
        super().__init__()
        self.gamma = gamma

    def forward(self, enhanced: Tensor, image: Tensor) -> Tensor:
        """See the class."""
        enhanced = enhanced[:, :, : image.shape[1], : image.shape[2]].to(torch.float32).clamp(0.0, 1.0)
        if self.gamma != 1.0:
            enhanced = enhanced**self.gamma
        return torch.round(enhanced * 255.0).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


class PixelModel(nn.Module):
    """A network under the contract that every engine serves: `image` -> `enhanced`, both uint8 [N, H, W, 3] sRGB.

    Layout, range, padding to the network's multiple, clamping, the network's own output gamma and rounding all happen
    inside, so that the exported file needs no host code and a picture on the wire is a quarter of float's size.
    N, H and W are free; sides are at least `MIN_SIDE`.
    """

    outputs = (ENHANCED,)

    def __init__(self, network: nn.Module, spec: NetworkSpec) -> None:
        super().__init__()
        self.before = FromCodeValues(spec.multiple)
        self.network = network
        self.after = ToCodeValues(spec.output_gamma)

    def forward(self, image: Tensor) -> Tensor:
        """uint8 [N, H, W, 3] -> uint8 [N, H, W, 3], sRGB code values."""
        return self.after(self.network(self.before(image)), image)

    def core(self) -> nn.Module:
        """What lies between the two conversions, as a module of its own."""
        return self.network
