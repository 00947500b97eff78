"""Networks that distinguish real pictures from generated ones. For training only: nothing here is exported."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm


class PatchDiscriminator(nn.Module):
    """ExdNet's: four stages of two convolutions, each halving the size; one score in (0, 1) for each 16×16 patch."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width in (64, 128, 256, 512):
            layers.append(nn.Conv2d(channels, width, 3, padding=1))
            if channels != 3:
                layers.append(nn.BatchNorm2d(width))
            layers.append(nn.LeakyReLU(0.2))
            layers += [nn.Conv2d(width, width, 3, stride=2, padding=1), nn.BatchNorm2d(width), nn.LeakyReLU(0.2)]
            channels = width
        layers += [nn.Conv2d(channels, 1, 3, padding=1), nn.Sigmoid()]
        self.layers = nn.Sequential(*layers)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, 0.02)

    def forward(self, image: Tensor) -> Tensor:
        """[N, 3, H, W] in [0, 1] -> scores [N, 1, H/16, W/16] in (0, 1)."""
        return self.layers(image)


class SortedColorDiscriminator(nn.Module):
    """DRBN's: sees a picture, and the same with each pixel's channels sorted, which separates brightness from hue.

    Parameter names are those of the released code; 4,691,329 parameters.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(6, 64, 3, padding=1)
        self.steps: list[tuple[str, str]] = []
        inputs = 64
        for index, outputs in enumerate((64, 128, 128, 256, 256, 512, 512), start=2):
            stride = 2 if index % 2 == 0 else 1
            self.add_module(f"conv{index}", nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1))
            self.add_module(f"bn{index}", nn.BatchNorm2d(outputs))
            self.steps.append((f"conv{index}", f"bn{index}"))
            inputs = outputs
        self.conv9 = nn.Conv2d(512, 1, 1, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """[N, 3, H, W] in [0, 1] -> one score in (0, 1) a picture, [N]."""
        features = F.relu(self.conv1(torch.cat([image, image.sort(dim=1).values], dim=1)))
        for convolution, normalization in self.steps:
            features = self.get_submodule(convolution)(features)
            features = F.relu(self.get_submodule(normalization)(features))
        # The released code pads this 1×1 convolution: a border of bare biases joins the average.
        return torch.sigmoid(self.conv9(features).mean(dim=(1, 2, 3)))


class SpectralPatchDiscriminator(nn.Module):
    """DRGN's (design: the paper names none): four halvings, each layer of spectral norm 1; one score a 16×16 patch.

    Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017, for the patches;
    Miyato et al., "Spectral Normalization for Generative Adversarial Networks", ICLR 2018, for the norm. Scores are
    unbounded: it is meant for least-squares losses.

    Args:
        width: channels of the first layer; each further one has twice as many.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for outputs in (width, 2 * width, 4 * width, 8 * width):
            layers += [spectral_norm(nn.Conv2d(channels, outputs, 4, stride=2, padding=1)), nn.LeakyReLU(0.2)]
            channels = outputs
        self.layers = nn.Sequential(*layers, spectral_norm(nn.Conv2d(channels, 1, 3, padding=1)))

    def forward(self, image: Tensor) -> Tensor:
        """[N, 3, H, W] with sides of at least 16 -> scores [N, 1, H/16, W/16]."""
        return self.layers(image)
