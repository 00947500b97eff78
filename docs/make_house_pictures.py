"""Draw what the house network gets and predicts: `python -m docs.make_house_pictures CHECKPOINT_OR_MODEL`.

Each row is a photo of the web page (authors and licences: service/page/static/samples/CREDITS.md): the photo, the
finest detail that its proxy hides, two views of the predicted map, and the results at three exposures.
"""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

import service.page
from service.contract import AFFINE, EVIDENCE
from service.pictures import Picture, PictureFormat
from service.rendering import NEUTRAL, Detail, plan, prepare
from training.evaluation import EvaluatedModel, open_model

TARGET = Path(__file__).with_name("images") / "house_network.webp"
SAMPLES = service.page.STATIC / "samples"
NAMES = ("street", "meadow")
CELL = (150, 200)
"""Height and width of one picture, in pixels."""

GAP = 5
TITLES = ("photo", "finest detail", "gain, 1 to 16", "texture kept", "exposure -1", "exposure 0", "exposure +1")

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

GUIDED = replace(NEUTRAL, detail=Detail.GUIDED)


def main(model: str) -> None:
    """Write the picture with a model of the repository, or a checkpoint."""
    opened = open_model(model, Path("model_repository"))
    rows = []
    for name in NAMES:
        photo = np.asarray(Image.open(SAMPLES / f"{name}.jpg").convert("RGB"))
        results = [opened.enhance(photo, replace(GUIDED, exposure=stops)) for stops in (-1.0, 0.0, 1.0)]
        rows.append([photo, *map(coloured, views(photo, opened)), *results])
    file = io.BytesIO()
    sheet(rows).save(file, format="webp", quality=85, method=6)
    TARGET.write_bytes(file.getvalue())
    print(f"{TARGET}: {len(file.getvalue()) / 1000:.0f} kB")


def views(photo: Pixels, model: EvaluatedModel) -> list[Floats]:
    """Finest detail (0 to 3 code values), gain (on a logarithmic scale), and texture kept, each [h, w] in 0 to 1."""
    height, width = photo.shape[:2]
    (inputs,) = prepare(Picture(photo, PictureFormat.JPEG), plan(width, height, 8, model.traits, GUIDED)).inputs()
    terms = model.answer(inputs, AFFINE)[0]
    gain = terms[..., :3].mean(axis=2)
    texture = terms[..., 6:15].reshape(*gain.shape, 3, 3).sum(axis=3).mean(axis=2) / np.maximum(gain, 1e-6)
    finest = 85 * inputs[EVIDENCE][0, ..., 1]
    shown = (finest, np.log2(np.maximum(gain, 1e-6)) / 4, texture)
    return [np.clip(view, 0, 1).astype(np.float32) for view in shown]


def coloured(view: Floats) -> Pixels:
    """[h, w] in 0 to 1 as uint8 [h, w, 3], dark blue to yellow."""
    painted = cv2.applyColorMap(np.round(255 * view).astype(np.uint8), cv2.COLORMAP_VIRIDIS)
    return np.ascontiguousarray(painted[..., ::-1])


def sheet(rows: list[list[Pixels]]) -> Image.Image:
    """All pictures with a title above each column."""
    height, width = CELL
    head = 24
    canvas = Image.new("RGB", (len(TITLES) * (width + GAP) - GAP, head + len(rows) * (height + GAP) - GAP), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(14)
    for column, title in enumerate(TITLES):
        left = column * (width + GAP)
        draw.text((left + width / 2, head / 2), title, fill="#52586a", font=font, anchor="mm")
        for row, pictures in enumerate(rows):
            small = Image.fromarray(pictures[column])
            small.thumbnail((width, height), Image.Resampling.LANCZOS)
            middle = (left + (width - small.width) // 2, head + row * (height + GAP) + (height - small.height) // 2)
            canvas.paste(small, middle)
    return canvas


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(sys.argv[1])
