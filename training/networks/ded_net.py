"""DED-Net: Retinex decomposition of a picture and of its enhanced self, then illumination-guided restoration.

Three parts, in the order of the forward pass:

* ``FeatureEnhancer`` (the IFE): a Zero-DCE-like trunk with shared weights processes the picture at three scales and
  predicts a brighter version of it;
* ``IlluminationEstimator``: a map and features of the illumination, shared by the picture and its brighter version;
* ``GuidedRestorer`` (the IGR, in its own file): a U-net whose attention is over channels and whose values are
  multiplied by the illumination features; it removes the noise and artefacts that brightening reveals.

The published file does not run as it is; this implements what it computes once its name, its hard-coded device and
its debugging output are fixed. Two things differ by choice. The estimator is affine, so the mean of two evaluations
is one evaluation of the mean: half the work, equal up to rounding. And the feed-forward network is an option, because
the published one is dense (45 M parameters) although its text says depthwise separable.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.networks._guided_restorer import FeedForward, GuidedRestorer
from training.networks._official import OfficialLayout, register_official
from training.networks._registry import NetworkSpec, register

CURVES = 24
GROUP = 3


class ScaleAwareAggregation(nn.Module):
    """Blends the full-scale curves with the quarter-scale ones, group by group of three channels (SAFA)."""

    def __init__(self) -> None:
        super().__init__()
        self.query_conv1 = nn.Conv2d(CURVES, CURVES, 3, stride=4, padding=1, groups=CURVES)
        self.key_conv = nn.Conv2d(CURVES, CURVES, 1, groups=CURVES)
        # Sums the channels of each group and returns the sum for each of them, without a view per group.
        same_group = torch.block_diag(*[torch.ones(GROUP, GROUP) for _ in range(CURVES // GROUP)])
        scale = (CURVES / (CURVES // GROUP)) ** 0.25
        self.register_buffer("group_sum", same_group[:, :, None, None] / scale, persistent=False)
        self.group_sum: Tensor

    def forward(self, full: Tensor, quarter: Tensor) -> Tensor:
        """`full` [N,24,H,W] and `quarter` [N,24,ceil(H/4),ceil(W/4)] -> [N,24,H,W]."""
        query = self.query_conv1(full)
        key = self.key_conv(quarter)
        preference = F.conv2d((query - key) * key, self.group_sum)
        weight = torch.sigmoid(preference)  # the softmax of two scores
        blend = weight * query + (1 - weight) * key
        return full + F.interpolate(blend, size=full.shape[-2:], mode="bilinear", align_corners=True)


class FeatureEnhancer(nn.Module):
    """Image feature enhancement: one trunk at full, quarter and eighth scale; the result is at least the input."""

    def __init__(self, features: int = 32) -> None:
        super().__init__()
        self.e_conv1 = nn.Conv2d(3, features, 3, padding=1)
        self.e_conv2 = nn.Conv2d(features, features, 3, padding=1)
        self.e_conv3 = nn.Conv2d(features, features, 3, padding=1)
        self.e_conv4 = nn.Conv2d(features, features, 3, padding=1)
        self.e_conv5 = nn.Conv2d(2 * features, features, 3, padding=1)
        self.e_conv6 = nn.Conv2d(2 * features, features, 3, padding=1)
        self.e_conv7 = nn.Conv2d(2 * features, CURVES, 3, padding=1)
        self.quarter_conv = nn.Conv2d(3, 3, 3, stride=4, padding=1)
        self.hexa_conv = nn.Conv2d(3, 3, 3, stride=2)
        self.scale_aware_aggregation = ScaleAwareAggregation()
        self.ue_conv8 = nn.Conv2d(2 * CURVES, CURVES, 3, padding=1)
        self.fin_conv = nn.Conv2d(CURVES, 3, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """`image` [N,3,H,W] with sides of at least 9 -> [N,3,H,W], nowhere below `image`."""
        quarter = self.quarter_conv(image)
        eighth = self.hexa_conv(quarter)
        curves = self.scale_aware_aggregation(F.relu(self.trunk(image)), F.relu(self.trunk(quarter)))
        scene = F.interpolate(self.trunk(eighth), size=image.shape[-2:], mode="bilinear", align_corners=True)
        fused = F.relu(self.ue_conv8(torch.cat([curves, scene], dim=1)))
        return image + F.relu(self.fin_conv(fused))

    def trunk(self, image: Tensor) -> Tensor:
        """[N,3,h,w] -> 24 curve maps before their activation. The skips are wired unlike Zero-DCE's."""
        x1 = F.relu(self.e_conv1(image))
        x2 = F.relu(self.e_conv2(x1))
        x3 = F.relu(self.e_conv3(x2))
        x4 = F.relu(self.e_conv4(x3))
        x5 = F.relu(self.e_conv5(torch.cat([x1, x4], dim=1)))
        x6 = F.relu(self.e_conv6(torch.cat([x2, x3], dim=1)))
        return self.e_conv7(torch.cat([x5, x6], dim=1))


class IlluminationEstimator(nn.Module):
    """The Retinex estimator: affine, so that its mean over two pictures is its value at their mean."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(4, width, 1)
        self.depth_conv = nn.Conv2d(width, width, 5, padding=2, groups=4)
        self.conv2 = nn.Conv2d(width, 3, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """`image` [N,3,H,W] -> illumination features [N,width,H,W] and illumination map [N,3,H,W]."""
        brightness = image.mean(dim=1, keepdim=True)
        features = self.depth_conv(self.conv1(torch.cat([image, brightness], dim=1)))
        return features, self.conv2(features)


@register(
    NetworkSpec(
        name="ded_net",
        title="DED-Net",
        paper="DED-Net, under review at The Visual Computer",
        recipe="ded_net_proxy",
        spatial_scope="global",
        halo=0,
        multiple=4,
        smallest_side=12,
        working_side=256,
    )
)
class DEDNet(nn.Module):
    """Dark picture in, bright picture out.

    `width` is the channel count of the first level (published: 40, also the size of an attention head).
    `feed_forward` chooses the blocks' convolutions: ``dense`` is what the published file computes (45,190,696
    parameters), ``dwsep`` what its text claims (4,282,536), ``dw35`` plain depthwise 3x3 and 5x5 (1,768,616; our
    design and default), ``retinexformer`` that paper's (1,696,616). Only the last two are fast enough for a CPU.
    """

    def __init__(self, width: int = 40, feed_forward: FeedForward = "dw35") -> None:
        super().__init__()
        self.feat_enhancer = FeatureEnhancer()
        self.estimator = IlluminationEstimator(width)
        self.denoiser = GuidedRestorer(width, feed_forward)

    def forward(self, image: Tensor) -> Tensor:
        """`image` [N,3,H,W] in [0,1], sides multiples of 4 and at least 12 -> [N,3,H,W], unclamped."""
        lit, illumination = self.illuminate(image)
        return self.denoiser(lit, illumination)

    def illuminate(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The lit picture [N,3,H,W] and the illumination features [N,width,H,W] that guide its restoration."""
        brighter = self.feat_enhancer(image) + image
        illumination, illumination_map = self.estimator((image + brighter) / 2)
        return image * illumination_map + image, illumination


# Published name -> ours, below `denoiser.`; everything else keeps its name.
_RENAMES = (
    (r"encoder_layers\.0\.", "encoder1."),
    (r"encoder_layers\.1\.", "encoder2."),
    (r"decoder_layers\.0\.", "decoder2."),
    (r"decoder_layers\.1\.", "decoder1."),
    (r"(encoder\d)\.0\.", r"\1.body."),
    (r"(encoder\d)\.1\.", r"\1.down."),
    (r"(encoder\d)\.2\.", r"\1.down_illumination."),
    (r"(decoder\d)\.0\.", r"\1.up."),
    (r"(decoder\d)\.1\.", r"\1.merge."),
    (r"(decoder\d)\.2\.", r"\1.body."),
    (r"blocks\.(\d)\.0\.", r"blocks.\1.attention."),
    (r"blocks\.(\d)\.1\.", r"blocks.\1.feed_forward."),
    (r"feed_forward\.fn\.", "feed_forward."),
)


def _matches(states: Sequence[Mapping[str, Tensor]]) -> bool:
    return len(states) == 1 and "body.0.denoiser.embedding.weight" in states[0]


def _convert(states: Sequence[Mapping[str, Tensor]]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The published state dict -> (our options, our state dict).

    The feed-forward variant is recognised by the shapes, since the authors do not say which one their weights use.
    """
    published = states[0]
    if any(key.startswith("body.1.") for key in published):
        raise ValueError("this checkpoint has several stages; DED-Net as published has one")
    state_dict = {}
    for key, value in published.items():
        for pattern, ours in _RENAMES:
            key = re.sub(pattern, ours, key)
        # What the authors write as a linear layer over the last axis is a 1x1 convolution here.
        state_dict[key.removeprefix("body.0.")] = value[:, :, None, None] if value.ndim == 2 else value
    width = published["body.0.denoiser.embedding.weight"].shape[0]
    return {"width": width, "feed_forward": _feed_forward_kind(state_dict)}, state_dict


def _feed_forward_kind(state_dict: Mapping[str, Tensor]) -> FeedForward:
    net = "denoiser.encoder1.body.blocks.0.feed_forward.net"
    if f"{net}.2.depthwise_conv.weight" in state_dict:
        return "dwsep"
    if f"{net}.6.weight" not in state_dict:
        return "retinexformer"
    return "dw35" if state_dict[f"{net}.2.weight"].shape[1] == 1 else "dense"


register_official(OfficialLayout(network="ded_net", matches=_matches, convert=_convert))
