"""Make the README's picture: samples of scikit-image, darkened as a camera would, and what the service makes of them.

    python -m docs.make_pictures

Each row is dark, enhanced by the default model through the service's own pipeline, and the photo before it was
darkened. Both samples may be shown: "astronaut" is NASA's (public domain), "coffee" is by Rachel Michetti (CC0).
"""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from service.enhancement import EnhanceOptions
from service.runtime import Runtime
from service.settings import Settings
from tests.pictures import darken, decoded, encoded, scene

TARGET = Path(__file__).with_name("images") / "before_after.webp"
MAX_BYTES = 150_000

SCENES = ("astronaut", "coffee")
CELL = (270, 360)
"""Height and width of one picture, in pixels."""

GAP = 6
TITLES = ("in too little light", "enhanced", "the same in good light")

Pixels = NDArray[np.uint8]


def main() -> None:
    """Write the picture.

    Raises:
        ValueError: if it becomes larger than a README should load.
    """
    rows = [(darken(bright, gain=0.05, electrons=4000, seed=3), bright) for bright in map(_fitted, SCENES)]
    enhanced = asyncio.run(_enhance([dark for dark, _ in rows]))
    sheet = _sheet([(dark, answer, bright) for (dark, bright), answer in zip(rows, enhanced, strict=True)])
    file = io.BytesIO()
    sheet.save(file, format="webp", quality=85, method=6)
    if len(file.getvalue()) > MAX_BYTES:
        raise ValueError(f"{TARGET.name} has {len(file.getvalue())} bytes, and at most {MAX_BYTES} are wanted")
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_bytes(file.getvalue())
    print(f"{TARGET}: {len(file.getvalue()) / 1000:.0f} kB")


async def _enhance(pictures: list[Pixels]) -> list[Pixels]:
    """What the default model answers, with the service's default options."""
    settings = Settings()
    async with Runtime(settings.model_copy(update={"models": (settings.default_model,)})) as runtime:
        await runtime.loaded()
        answers = [await runtime.enhance(encoded(picture), EnhanceOptions()) for picture in pictures]
    return [decoded(answer.data) for answer in answers]


def _fitted(name: str) -> Pixels:
    """A photo cut to the shape of a cell and resized, uint8 [H, W, 3]."""
    photo = scene(name)
    height, width = photo.shape[:2]
    wanted = min(height, width * CELL[0] // CELL[1])
    top = (height - wanted) // 16
    cut = Image.fromarray(photo[top : top + wanted])
    return np.asarray(cut.resize((CELL[1], CELL[0]), Image.Resampling.LANCZOS))


def _sheet(rows: list[tuple[Pixels, ...]]) -> Image.Image:
    height, width = CELL
    sheet = Image.new("RGB", (3 * width + 2 * GAP, len(rows) * (height + GAP) - GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(18)
    for line, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            place = (column * (width + GAP), line * (height + GAP))
            sheet.paste(Image.fromarray(picture), place)
            if line == 0:
                draw.text((place[0] + 10, 8), TITLES[column], "white", font, stroke_width=2, stroke_fill="black")
    return sheet


if __name__ == "__main__":
    main()
