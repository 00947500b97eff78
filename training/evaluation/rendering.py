"""`python -m training.evaluation.rendering`: the quality of the ways of rendering, by model.

Four tables, for the sizes in `docs/rendering.md`: guided against whole; tiles against whole; guided by the proxy's
long side (`working_side`); and whole beside guided on smaller pictures (`max_pixels`). With `--sheet`, crops of large
photos side by side, for visual inspection: scores do not show halos, seams and blotches.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import cv2
import numpy as np
from numpy.typing import NDArray

from service.rendering import Detail
from service.repository import SpatialScope
from training.datasets import find_samples, read_picture
from training.evaluation._metrics import psnr, ssim
from training.evaluation._models import EvaluatedModel, open_model

Pixels = NDArray[np.uint8]
Pair = tuple[Pixels, Pixels]
"""A dark picture and its reference."""

WORKING_SIDES = (192, 256, 320, 400, 512, 600)
PICTURE_SIDES = (192, 256, 320, 400, 512, 600)
CROP = 640
"""Side of a crop of a large photo, in pixels."""


def render(model: EvaluatedModel, picture: Pixels, detail: Detail, working_side: int | None = None) -> Pixels:
    """The network's effect alone, with the model's own proxy or another."""
    if working_side is not None:
        model = replace(model, traits=replace(model.traits, working_side=working_side))
    return model.render(picture, detail)


def guided_against_whole(model: EvaluatedModel, pairs: Sequence[Pair]) -> str:
    """A row: PSNR and SSIM of guided to whole, and of each to the reference."""
    rows = []
    for low, high in pairs:
        whole, guided = render(model, low, Detail.WHOLE), render(model, low, Detail.GUIDED)
        rows.append([*scores(guided, whole), *scores(whole, high), *scores(guided, high)])
    means = [fmean(column) for column in zip(*rows, strict=True)]
    cells = " | ".join(f"{means[i]:.2f} / {means[i + 1]:.3f}" for i in (0, 2, 4))
    return f"| `{model.name}` | {model.traits.working_side} | {cells} |"


def tiles_against_whole(model: EvaluatedModel, pairs: Sequence[Pair]) -> str:
    """A row: the largest difference, and the share of values that differ."""
    tiled = replace(model, traits=replace(model.traits, max_pixels=256 * 256))
    apart = [
        np.abs(render(tiled, low, Detail.TILES).astype(int) - render(model, low, Detail.WHOLE)) for low, _ in pairs
    ]
    largest, share = max(int(one.max()) for one in apart), fmean(float((one > 0).mean()) for one in apart)
    return f"| `{model.name}` | {largest} | {100 * share:.4f} % |"


def by_working_side(model: EvaluatedModel, pairs: Sequence[Pair], sides: Sequence[int]) -> str:
    """A row: PSNR and SSIM to the reference, guided by proxies of these long sides."""
    cells = []
    for side in sides:
        rows = [scores(render(model, low, Detail.GUIDED, side), high) for low, high in pairs]
        cells.append(" / ".join((f"{fmean(row[0] for row in rows):.2f}", f"{fmean(row[1] for row in rows):.3f}")))
    return f"| `{model.name}` | {' | '.join(cells)} |"


def by_picture_side(model: EvaluatedModel, pairs: Sequence[Pair], sides: Sequence[int]) -> str:
    """A row: PSNR to the reference, whole and guided, of pictures shrunk to these long sides."""
    cells = []
    for side in sides:
        small = [(shrunk(low, side), shrunk(high, side)) for low, high in pairs]
        both = [
            fmean(psnr(render(model, low, detail) / 255, high / 255) for low, high in small)
            for detail in (Detail.WHOLE, Detail.GUIDED)
        ]
        cells.append(f"{both[0]:.2f} / {both[1]:.2f}")
    return f"| `{model.name}` | {' | '.join(cells)} |"


def scores(result: Pixels, reference: Pixels) -> tuple[float, float]:
    """PSNR and SSIM."""
    return psnr(result / 255, reference / 255), ssim(result / 255, reference / 255)


def shrunk(picture: Pixels, side: int) -> Pixels:
    """The picture with this long side, by area means."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    size = (round(width * scale), round(height * scale))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def crop_sheet(models: Sequence[EvaluatedModel], photos: Sequence[Path], crops: int) -> Pixels:
    """Crops of photos, a row each: the photo, then by each model guided (the whole photo) and whole (the crop alone).

    The crops with the largest differences between the two are shown. A network that looks at a whole scene sees only
    the crop in the second, so that for it overall brightness and colour may differ.
    """
    rows: list[Pixels] = []
    for path in photos:
        photo = read_picture(path)
        guided = [render(model, photo, Detail.GUIDED) for model in models]
        candidates = []
        for top, left in places(photo.shape[0], photo.shape[1]):
            window = np.s_[top : top + CROP, left : left + CROP]
            whole = [render(model, np.ascontiguousarray(photo[window]), Detail.WHOLE) for model in models]
            apart = fmean(float(np.abs(a[window].astype(int) - b).mean()) for a, b in zip(guided, whole, strict=True))
            shown = [part for a, b in zip(guided, whole, strict=True) for part in (a[window], b)]
            candidates.append((apart, np.concatenate([photo[window], *shown], axis=1)))
        candidates.sort(key=lambda candidate: -candidate[0])
        rows += [row for _, row in candidates[:crops]]
    return np.concatenate(rows)


def places(height: int, width: int) -> Iterator[tuple[int, int]]:
    """Corners of nine crops, spread over a photo."""
    for top in np.linspace(0, height - CROP, 3).astype(int):
        for left in np.linspace(0, width - CROP, 3).astype(int):
            yield int(top), int(left)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluation.rendering", description=__doc__)
    parser.add_argument("models", nargs="+", help="names in the repository, or checkpoints")
    parser.add_argument("--data", type=Path, required=True, help="folder of LOLv1, or with --sheet of photos")
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--limit", type=int, default=15, help="pictures, of the 15 for testing")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--sheet", type=Path, help="write a sheet of crops there instead of measuring")
    parser.add_argument("--crops", type=int, default=2, help="crops of each photo on the sheet")
    wishes = parser.parse_args(arguments)
    models = [open_model(name, wishes.repository, threads=wishes.threads) for name in wishes.models]
    if wishes.sheet:
        sheet = crop_sheet(models, sorted(wishes.data.glob("*.jpg")), wishes.crops)
        cv2.imwrite(str(wishes.sheet), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
        return
    samples = find_samples("lolv1", wishes.data, "test")[: wishes.limit]
    pairs = [(read_picture(sample.files["low"]), read_picture(sample.files["high"])) for sample in samples]
    print("| model | `working_side` | guided to whole | whole to reference | guided to reference |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for model in models:
        print(guided_against_whole(model, pairs), flush=True)
    print("\n| model | tiles to whole, 1/255 | values that differ |\n| --- | ---: | ---: |")
    for model in models:
        if model.traits.spatial_scope is SpatialScope.LOCAL:
            print(tiles_against_whole(model, pairs), flush=True)
    for title, sides, row in (
        ("guided, `working_side`", WORKING_SIDES, by_working_side),
        ("whole / guided, picture's long side", PICTURE_SIDES, by_picture_side),
    ):
        print(f"\n| {title} | {' | '.join(map(str, sides))} |\n| --- |{' ---: |' * len(sides)}")
        for model in models:
            print(row(model, pairs, sides), flush=True)


if __name__ == "__main__":
    main()
