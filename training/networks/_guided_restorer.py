"""The restoring half of DED-Net: a U-net whose attention the illumination guides (IGR with IG-MSA).

Attention is over the channels of a head, not over pixels: rows and columns are channels, vectors run over the whole
picture, so its cost is linear in the number of pixels, and its result depends on all of them. Everything stays in
NCHW and four dimensions, which scripts, exports and batches without surprises.
"""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.networks._depthwise import DepthwiseConv5x5

FeedForward = Literal["dense", "dwsep", "dw35", "retinexformer"]


class GuidedAttention(nn.Module):
    """Illumination-guided self-attention over the channels of each head; linear in the number of pixels."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Conv2d(width, width, 1, bias=False)
        self.to_k = nn.Conv2d(width, width, 1, bias=False)
        self.to_v = nn.Conv2d(width, width, 1, bias=False)
        self.rescale = nn.Parameter(torch.ones(heads, 1, 1))
        self.proj = nn.Conv2d(width, width, 1)
        self.pos_emb = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
            nn.GELU(),
            nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
        )

    def forward(self, x: Tensor, illumination: Tensor) -> Tensor:
        """`x` and `illumination` [N,width,H,W] -> [N,width,H,W]."""
        value = self.to_v(x)
        # The norms sum over every pixel: float32 whatever the precision around them.
        query = F.normalize(self.per_head(self.to_q(x)).float(), dim=-1)
        key = F.normalize(self.per_head(self.to_k(x)).float(), dim=-1)
        attention = torch.softmax(self.rescale * (key @ query.transpose(-2, -1)), dim=-1)
        attended = attention.to(value.dtype) @ self.per_head(value * illumination)
        return self.proj(attended.reshape(x.shape)) + self.pos_emb(value)

    def per_head(self, x: Tensor) -> Tensor:
        """[N,width,H,W] -> [N,heads,width/heads,H*W]."""
        return x.reshape(x.shape[0], self.heads, x.shape[1] // self.heads, -1)


class FeedForwardNetwork(nn.Module):
    """LayerNorm over the channels of each pixel, then convolutions at four times the width."""

    def __init__(self, width: int, kind: FeedForward) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        wide = 4 * width
        spatial: list[nn.Module]
        if kind == "dense":
            spatial = [_conv(wide, 3), nn.GELU(), _conv(wide, 5), nn.GELU()]
        elif kind == "dwsep":
            spatial = [_SeparableConv(wide), nn.GELU(), _SeparableConv(wide), nn.GELU()]
        elif kind == "dw35":
            spatial = [_conv(wide, 3, groups=wide), nn.GELU(), DepthwiseConv5x5(wide), nn.GELU()]
        elif kind == "retinexformer":
            spatial = [_conv(wide, 3, groups=wide), nn.GELU()]
        else:
            raise ValueError(f"feed_forward is {kind!r}; it must be one of {', '.join(get_args(FeedForward))}")
        self.net = nn.Sequential(
            nn.Conv2d(width, wide, 1, bias=False), nn.GELU(), *spatial, nn.Conv2d(wide, width, 1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[N,width,H,W] -> [N,width,H,W]."""
        return self.net(self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))


class GuidedBlock(nn.Module):
    """Illumination-guided attention, then the feed-forward network, each with a residual."""

    def __init__(self, width: int, heads: int, feed_forward: FeedForward) -> None:
        super().__init__()
        self.attention = GuidedAttention(width, heads)
        self.feed_forward = FeedForwardNetwork(width, feed_forward)

    def forward(self, x: Tensor, illumination: Tensor) -> Tensor:
        """`x` and `illumination` [N,width,H,W] -> [N,width,H,W]."""
        x = x + self.attention(x, illumination)
        return x + self.feed_forward(x)


class GuidedBlocks(nn.Module):
    """Several blocks under one illumination."""

    def __init__(self, width: int, heads: int, feed_forward: FeedForward, count: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(GuidedBlock(width, heads, feed_forward) for _ in range(count))

    def forward(self, x: Tensor, illumination: Tensor) -> Tensor:
        """`x` and `illumination` [N,width,H,W] -> [N,width,H,W]."""
        for block in self.blocks:
            x = block(x, illumination)
        return x


class Encoder(nn.Module):
    """One level down: blocks, then half the size and twice the width for features and illumination alike."""

    def __init__(self, width: int, heads: int, feed_forward: FeedForward, count: int) -> None:
        super().__init__()
        self.body = GuidedBlocks(width, heads, feed_forward, count)
        self.down = nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False)
        self.down_illumination = nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False)

    def forward(self, x: Tensor, illumination: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """-> features of this level, features and illumination of the next."""
        x = self.body(x, illumination)
        return x, self.down(x), self.down_illumination(illumination)


class Decoder(nn.Module):
    """One level up: twice the size, merged with the encoder's features, then blocks."""

    def __init__(self, width: int, heads: int, feed_forward: FeedForward, count: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.merge = nn.Conv2d(2 * width, width, 1, bias=False)
        self.body = GuidedBlocks(width, heads, feed_forward, count)

    def forward(self, x: Tensor, skip: Tensor, illumination: Tensor) -> Tensor:
        """`x` [N,2*width,h,w], `skip` and `illumination` [N,width,2h,2w] -> [N,width,2h,2w]."""
        return self.body(self.merge(torch.cat([self.up(x), skip], dim=1)), illumination)


class GuidedRestorer(nn.Module):
    """Illumination-guided restoration: a U-net of three levels with heads of `width` channels each."""

    def __init__(self, width: int, feed_forward: FeedForward) -> None:
        super().__init__()
        self.embedding = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.encoder1 = Encoder(width, 1, feed_forward, count=1)
        self.encoder2 = Encoder(2 * width, 2, feed_forward, count=2)
        self.bottleneck = GuidedBlocks(4 * width, 4, feed_forward, count=2)
        self.decoder2 = Decoder(2 * width, 2, feed_forward, count=2)
        self.decoder1 = Decoder(width, 1, feed_forward, count=1)
        self.mapping = nn.Conv2d(width, 3, 3, padding=1, bias=False)

    def forward(self, lit: Tensor, illumination: Tensor) -> Tensor:
        """`lit` [N,3,H,W] and `illumination` [N,width,H,W], sides multiples of 4 -> [N,3,H,W], unclamped."""
        skip1, x, illumination2 = self.encoder1(self.embedding(lit), illumination)
        skip2, x, illumination4 = self.encoder2(x, illumination2)
        x = self.bottleneck(x, illumination4)
        x = self.decoder2(x, skip2, illumination2)
        x = self.decoder1(x, skip1, illumination)
        return lit + self.mapping(x)


class _SeparableConv(nn.Module):
    """A depthwise 3x3 convolution, then a pointwise one, both without bias."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise_conv = _conv(width, 3, groups=width)
        self.pointwise_conv = nn.Conv2d(width, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise_conv(self.depthwise_conv(x))


def _conv(width: int, kernel: int, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=groups, bias=False)
