"""Draw what the house network sees and answers: `python -m docs.make_house_pictures CHECKPOINT_OR_MODEL`.

Each row is a sample of scikit-image, darkened as a camera would: the dark photo, three views of the predicted map,
the result, and the photo before it was darkened. "astronaut" is NASA's (public domain), "coffee" is by Rachel
Michetti (CC0).
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from service.rendering import Detail
from tests.pictures import darken, scene
from training import networks
from training.evaluation import EvaluatedModel, open_model

TARGET = Path(__file__).with_name("images") / "house_network.webp"
SCENES = ("astronaut", "coffee")
CELL = (200, 260)
"""Height and width of one picture, in pixels."""

GAP = 5
TITLES = ("dark", "gain, 1 to 16", "texture kept, 0 to 1", "colours pooled, 0 to 1", "result", "in good light")

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


def main(model: str) -> None:
    """Write the picture with a model of the repository, or a checkpoint."""
    opened = open_model(model, Path("model_repository"))
    rows = []
    for name in SCENES:
        bright = np.asarray(Image.fromarray(scene(name)).resize((3 * CELL[1], 3 * CELL[0]), Image.Resampling.LANCZOS))
        dark = darken(bright, gain=0.05, electrons=4000, seed=3)
        result = opened.render(dark, Detail.GUIDED)
        rows.append([dark, *map(coloured, views(dark, opened)), result, bright])
    file = io.BytesIO()
    sheet(rows).save(file, format="webp", quality=85, method=6)
    TARGET.write_bytes(file.getvalue())
    print(f"{TARGET}: {len(file.getvalue()) / 1000:.0f} kB")


def views(dark: Pixels, model: EvaluatedModel) -> tuple[Floats, Floats, Floats]:
    """Gain (on a scale of logarithms), texture kept, and colours pooled, each [h, w] in 0 to 1, read off the map."""
    height, width = networks.proxy_size(*dark.shape[:2], model.traits.working_side)
    proxy = np.asarray(Image.fromarray(dark).resize((width, height), Image.Resampling.BOX))
    terms = model.answer({"image": proxy[None]}, "affine")[0]
    gain, matrix = terms[..., :3].mean(2), terms[..., 6:15].reshape(*proxy.shape[:2], 3, 3)
    slopes = matrix.sum(3).mean(2)
    own = np.einsum("hwcc->hw", matrix) / np.maximum(matrix.sum((2, 3)), 1e-6)
    texture = slopes / np.maximum(gain, 1e-6)
    pooled = 1.5 * (1 - own)  # a third of what is pooled stays on the diagonal
    return tuple(np.clip(view, 0, 1).astype(np.float32) for view in (np.log2(gain) / 4, texture, pooled))  # type: ignore[return-value]


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
            small = Image.fromarray(pictures[column]).resize((width, height), Image.Resampling.LANCZOS)
            canvas.paste(small, (left, head + row * (height + GAP)))
    return canvas


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(sys.argv[1])
