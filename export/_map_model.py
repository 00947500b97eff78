"""The model contracts for a network that makes its colour map from a proxy, evidence of hidden detail, and an
exposure.

Two graphs hold the same weights. One follows the pixel contract, like every model that takes pictures: it makes proxy
and evidence from the picture itself, with automatic exposure. The other makes only the map, for guided rendering,
which measures the evidence in the full-size picture and passes the wanted exposure.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from service.contract import AFFINE, BRIGHTNESS, ENHANCED, EVIDENCE, EXPOSURE, PROXY
from training.networks import NetworkSpec, apply_map, proxy_size, shrink
from training.networks.nightlift import evidence


class ProxyAndEvidence(nn.Module):
    """uint8 [N, H, W, 3] -> the shrunk picture and the evidence of hidden detail: [N, 3, h, w] each, in [0, 1].

    The sides of the proxy are multiples of 8.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side
        # A buffer rather than a number: its type, which `half()` changes, is the type that the network computes in.
        self.register_buffer("peak", torch.tensor(255.0))
        self.peak: Tensor

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        height, width = proxy_size(image.shape[1], image.shape[2], self.side)
        picture = image.permute(0, 3, 1, 2).to(torch.float32) / 255.0
        hidden = evidence(picture, height, width)
        return shrink(picture, height, width).to(self.peak.dtype), hidden.to(self.peak.dtype)


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


class EvidencePixelModel(nn.Module):
    """Such a network under the pixel contract, with both outputs; sides are at least 16 pixels.

    Args:
        network: has `affine(proxy, hidden, wanted, exposure)` and the proxy's long side `side`.
        spec: its description.
    """

    outputs = (ENHANCED, AFFINE)

    def __init__(self, network: nn.Module, spec: NetworkSpec) -> None:
        super().__init__()
        self.coefficients = int(spec.map_layout)
        self.before = ProxyAndEvidence(network.side)  # type: ignore[arg-type]
        self.network = network
        self.picture = Picture()
        self.map = Map()

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 [N, H, W, 3], sRGB code values -> `enhanced`, the same, and `affine`, float32 [N, h, w, K]."""
        proxy, hidden = self.before(image)
        coefficients, _ = self.network.affine(proxy, hidden, None, None)  # type: ignore[operator]
        return self.picture(coefficients, image), self.map(coefficients)

    def core(self) -> Prediction:
        """From the proxy, the evidence and the exposure to the map and the guess, as a module of its own."""
        return Prediction(self.network)


class MapModel(nn.Module):
    """Such a network from the inputs of guided rendering to the map.

    Args:
        network: has `affine(proxy, hidden, wanted, exposure)`.
        spec: its description.
    """

    inputs = (PROXY, EVIDENCE, EXPOSURE)
    outputs = (AFFINE, BRIGHTNESS)

    def __init__(self, network: nn.Module, spec: NetworkSpec) -> None:
        super().__init__()
        self.coefficients = int(spec.map_layout)
        self.network = network
        self.map = Map()

    def forward(self, proxy: Tensor, evidence: Tensor, exposure: Tensor) -> tuple[Tensor, Tensor]:
        """The map of a proxy.

        Args:
            proxy: float32 [N, h, w, 3], sRGB code values from 0 to 1; sides are multiples of 8, at least 16.
            evidence: float32 [N, h, w, 3], statistics of the detail that the proxy hides.
            exposure: float32 [N, 1], stops relative to the brightness that the network chooses.

        Returns:
            `affine`, float32 [N, h, w, K], and `brightness`, float32 [N, 1], which the network chose, in stops: 0 is
            white.
        """
        coefficients, guess = self.network.affine(  # type: ignore[operator]
            proxy.permute(0, 3, 1, 2), evidence.permute(0, 3, 1, 2), None, exposure
        )
        return self.map(coefficients), guess.to(torch.float32)

    def core(self) -> Prediction:
        """As `EvidencePixelModel.core`."""
        return Prediction(self.network)


class Prediction(nn.Module):
    """`affine` of a network, which both graphs have at their core."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, proxy: Tensor, hidden: Tensor, exposure: Tensor) -> tuple[Tensor, Tensor]:
        """[N, 3, h, w] twice and [N, 1] -> the map [N, K, h, w], and the guess [N, 1]."""
        return self.network.affine(proxy, hidden, None, exposure)  # type: ignore[operator]


class Unwished(nn.Module):
    """`ProxyAndEvidence`, and an exposure of 0 for each picture."""

    def __init__(self, before: ProxyAndEvidence) -> None:
        super().__init__()
        self.before = before

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """uint8 [N, H, W, 3] -> [N, 3, h, w] twice, and [N, 1]."""
        proxy, hidden = self.before(image)
        return proxy, hidden, proxy.new_zeros([proxy.shape[0], 1])


class ChannelsFirst(nn.Module):
    """float32 [N, h, w, 3] twice -> [N, 3, h, w] twice."""

    def forward(self, proxy: Tensor, evidence: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        return proxy.permute(0, 3, 1, 2), evidence.permute(0, 3, 1, 2)
