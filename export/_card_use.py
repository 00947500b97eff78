"""The part of a card that says what goes in, what comes out, and how large photos are served."""

from __future__ import annotations

from collections.abc import Iterator

from export._families import family
from export._graphs import Graph, graphs_of, model_name
from export._records import Record
from service.contract import RESTORER_HALO, RESTORER_MULTIPLE
from training import networks


def use(record: Record) -> Iterator[str]:
    """Paragraphs in Markdown."""
    if record.graph is Graph.MAPS:
        yield from _of_maps(record)
        return
    if record.graph is Graph.RESTORER:
        yield from _of_answers()
        return
    yield (
        "Brightens photos taken in too little light. The input `image` and the output `enhanced` are sRGB code "
        f"values, uint8 `[N, H, W, 3]`, with sides of at least 16 pixels. {_scope(record)}"
    )


def _scope(record: Record) -> str:
    spec = networks.spec(record.manifest["family"])
    seen = (
        f"Every output pixel depends on {spec.halo} pixels around it only, so large pictures can be tiled exactly."
        if spec.spatial_scope == "local"
        else "Every output pixel depends on the whole picture, so pictures are never tiled."
    )
    if Graph.MAPS in graphs_of(spec):
        maps = model_name(record.manifest["scored_as"], Graph.MAPS, record.manifest["format"])
        return (
            f"{seen} This graph chooses the exposure itself. Unless asked otherwise, the service runs `{maps}` "
            f"instead, which takes the wanted `exposure`, on a proxy with a long side of {spec.working_side} pixels "
            "(`detail=guided`)."
        )
    return (
        f"{seen} Above {family(spec.name).max_pixels:,} pixels, unless asked otherwise, the service runs it on a "
        f"proxy with a long side of {spec.working_side} pixels and applies its effect at full size (`detail=guided`)."
    )


def _of_answers() -> Iterator[str]:
    yield (
        "Removes noise from a photo that another model enhanced, at full size. The service runs it tile by tile "
        "where noise would be visible (`denoise`, `docs/rendering.md`); photos cannot be sent to this model itself."
    )
    rows = (
        "Inputs: `answer`, the enhanced photo, sRGB code values, uint8 `[N, H, W, 3]`, with sides that are multiples "
        f"of {RESTORER_MULTIPLE}",
        "`image`, the original photo, of the same size and type",
        "Output: `correction`, what to add to the answer, in code values with white at 1, float32 `[N, H, W, 3]`",
    )
    yield "\n".join(f"- {row}" for row in rows)
    yield (f"Pixels more than {RESTORER_HALO} away have no visible influence on a result; tiles overlap by as much.")


def _of_maps(record: Record) -> Iterator[str]:
    spec = networks.spec(record.manifest["family"])
    pictures = model_name(record.manifest["scored_as"], Graph.PICTURES, record.manifest["format"])
    yield (
        f"Makes the local colour maps by which `{pictures}` brightens photos; both hold the same weights and are "
        f"served together. Send photos to `{pictures}`: this model takes none."
    )
    rows = (
        "Inputs: `proxy`, the photo shrunk by area averaging to sides that are multiples of 8 and at least 16, the "
        f"longer one ideally {spec.working_side} pixels; sRGB code values from 0 to 1, float32 `[N, h, w, 3]`",
        "`evidence`, detail that the proxy hides, measured in 2 x 2 to 4 x 4 samples of the photo for each of its "
        "pixels: the standard deviation of grey, and the mean absolute second difference along a row, of grey, and "
        "of red and blue minus green, float32 `[N, h, w, 3]`",
        "`exposure`, stops relative to the brightness that the network chooses, -2 to 2, float32 `[N, 1]`",
        f"Outputs: `affine`, the map, float32 `[N, h, w, {int(spec.map_layout)}]` (`docs/rendering.md`)",
        "`brightness` of the result, as the network chose it, in stops: 2.2 times the base-2 logarithm of the mean "
        "luminance of its code values plus 1/512, float32 `[N, 1]`",
    )
    yield "\n".join(f"- {row}" for row in rows)
