"""The part of a card that says what goes in, what comes out, and how large photos are served."""

from __future__ import annotations

from collections.abc import Iterator

from export._families import family
from export._graphs import Graph, graphs_of, model_name
from export._records import Record
from training import networks


def use(record: Record) -> Iterator[str]:
    """Paragraphs in Markdown."""
    if record.graph is Graph.MAPS:
        yield from _of_maps(record)
        return
    yield (
        "Brighten photos taken in too little light. The input `image` and the output `enhanced` are sRGB code "
        f"values, uint8 `[N, H, W, 3]`, sides of at least 16 pixels. {_scope(record)}"
    )


def _scope(record: Record) -> str:
    spec = networks.spec(record.manifest["family"])
    seen = (
        f"Every result depends on {spec.halo} pixels around it only, so large pictures may be tiled exactly."
        if spec.spatial_scope == "local"
        else "Every result depends on the whole picture, so pictures are never tiled."
    )
    if Graph.MAPS in graphs_of(spec):
        maps = model_name(record.manifest["scored_as"], Graph.MAPS, record.manifest["format"])
        return (
            f"{seen} The graph is exposed automatically. The service runs `{maps}` instead, on a proxy with a long "
            f"side of {spec.working_side} pixels (`detail=guided`), unless asked otherwise: that takes the wanted "
            "`exposure`."
        )
    return (
        f"{seen} Beyond {family(spec.name).max_pixels:,} pixels the service runs it on a proxy with a long side of "
        f"{spec.working_side} pixels and applies its effect at full size (`detail=guided`), unless asked otherwise."
    )


def _of_maps(record: Record) -> Iterator[str]:
    spec = networks.spec(record.manifest["family"])
    pictures = model_name(record.manifest["scored_as"], Graph.PICTURES, record.manifest["format"])
    yield (
        f"Make the local colour maps by which `{pictures}` brightens photos; both hold the same weights, and are "
        "served together. Photos are sent to the other one: this model takes no pictures."
    )
    rows = (
        "Inputs: `proxy`, the photo shrunk by area means to sides that are multiples of 8, of at least 16 and for "
        f"best results {spec.working_side} pixels the longer, sRGB code values from 0 to 1, float32 `[N, h, w, 3]`",
        "`evidence`, what the proxy hides, measured in 2 x 2 to 4 x 4 samples of the photo in each of its pixels: "
        "the deviation of grey, and the mean size of second differences along a row, of grey, and of red and blue "
        "less green, float32 `[N, h, w, 3]`",
        "`exposure`, stops around the brightness that the network chooses, -2 to 2, float32 `[N, 1]`",
        f"Outputs: `affine`, the map, float32 `[N, h, w, {int(spec.map_layout)}]` (`docs/rendering.md`)",
        "`brightness`, which the network chose: the logarithm to base 2 of the mean luminance of the result's code "
        "values to the power of 2.2, float32 `[N, 1]`",
    )
    yield "\n".join(f"- {row}" for row in rows)
