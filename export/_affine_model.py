"""The model contract for a network that predicts a local colour map, which is a second output, `affine`.

Guided rendering asks for the map alone and sends a proxy, which passes through unchanged. Any other client asks for
`enhanced`, sends the picture, and gets the same map applied at full size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from service.contract import AFFINE, ENHANCED
from training.networks import STEP, NetworkSpec, apply_map, as_codes, proxy_size, shrink


class ProxyOf(nn.Module):
    """uint8 [N, H, W, 3] -> the shrunk picture, [N, 3, h, w] in [0, 1], its sides multiples of 8."""

    multiple = STEP

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side
        # A buffer rather than a number: its type, which `half()` changes, is the type that the network computes in.
        self.register_buffer("peak", torch.tensor(255.0))
        self.peak: Tensor

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        height, width = proxy_size(image.shape[1], image.shape[2], self.side)
        picture = image.permute(0, 3, 1, 2).to(torch.float32) / 255.0
        return as_codes(shrink(picture, height, width)).to(self.peak.dtype)


class Picture(nn.Module):
    """A map [N, K, h, w] and `image` -> `enhanced`, both uint8 [N, H, W, 3]."""

    def forward(self, coefficients: Tensor, image: Tensor) -> Tensor:
        """See the class."""
        picture = image.permute(0, 3, 1, 2).to(torch.float32) / 255.0
        enhanced = torch.round(apply_map(coefficients.to(torch.float32), picture).clamp(0.0, 1.0) * 255.0)
        return enhanced.to(torch.uint8).permute(0, 2, 3, 1).contiguous()


class Map(nn.Module):
    """A map [N, K, h, w] -> `affine`, float32 [N, h, w, K]."""

    def forward(self, coefficients: Tensor) -> Tensor:
        """See the class."""
        return coefficients.to(torch.float32).permute(0, 2, 3, 1).contiguous()


class MakeProxy(nn.Module):
    """The result of `ProxyOf` for a picture that is already a proxy: uint8 [N, h, w, 3] -> [N, 3, h, w] in [0, 1]."""

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        return image.permute(0, 3, 1, 2).to(torch.float32) / 255.0


class PictureOfProxy(nn.Module):
    """The result of `Picture` for a picture that is already a proxy, which has no texture of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.picture = Picture()

    def forward(self, coefficients: Tensor, image: Tensor) -> Tensor:
        """A map [N, K, h, w] and `image`, uint8 [N, h, w, 3] -> `enhanced`, the same."""
        return self.picture(coefficients[:, :6] if coefficients.shape[1] >= 15 else coefficients, image)


class AffinePixelModel(nn.Module):
    """A network under the pixel contract with both outputs; sides are at least 16 pixels.

    Args:
        network: has `affine(proxy)` and the proxy's long side `side`.
        spec: its description.
    """

    outputs = (ENHANCED, AFFINE)

    def __init__(self, network: nn.Module, spec: NetworkSpec) -> None:
        super().__init__()
        self.before = ProxyOf(network.side)  # type: ignore[arg-type]
        self.network = network
        self.picture = Picture()
        self.map = Map()

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 [N, H, W, 3], sRGB code values -> `enhanced`, the same, and `affine`, float32 [N, h, w, K]."""
        coefficients = self.network.affine(self.before(image))  # type: ignore[operator]
        return self.picture(coefficients, image), self.map(coefficients)

    def core(self) -> nn.Module:
        """From the proxy to the map, as a separate module."""
        return _Prediction(self.network)


class _Prediction(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, proxy: Tensor) -> Tensor:
        return self.network.affine(proxy)  # type: ignore[operator]
