"""A contact sheet: photos by row; the input, every model's answer, and the reference where there is one, by column.

    python -m docs.make_contact_sheet          the project's own picture, docs/images/models.jpg
    python -m docs.make_contact_sheet --photos data/LIME --out /elsewhere/lime.jpg
    python -m docs.make_contact_sheet --photos data/LOLv1/eval15/low --references data/LOLv1/eval15/high --out lol.jpg

Without --photos it shows samples of scikit-image, darkened, which may be shown to everybody. Photos of other people's
data sets may not, so their sheets are not written into the repository.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from nightlift._jobs import is_picture
from service.enhancer import EnhanceOptions
from service.runtime import Runtime
from service.settings import Settings
from tests.pictures import SCENES, darken, decoded, encoded, scene

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs/images/models.jpg"
MOST_PHOTOS = 10
CELL = (200, 150)
"""Width and height of one picture, in pixels."""

GAP, TITLE = 4, 20
BACKGROUND, INK = "white", "black"

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Row:
    """One photo: its file, and how it should look, uint8 [H, W, 3], where that is known."""

    file: bytes
    reference: Pixels | None = None


def main() -> int:
    """See the module; the exit code is 2 if the sheet may not be written where it should go, or has no photos."""
    parser = argparse.ArgumentParser(prog="python -m docs.make_contact_sheet", description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, help="folder of photos; ten of them are shown")
    parser.add_argument("--references", type=Path, help="folder of what they should look like, under the same names")
    parser.add_argument("--models", default="", help="comma-separated; all if absent")
    parser.add_argument("--out", type=Path, default=TARGET, help="JPEG to write")
    arguments = parser.parse_args()
    out: Path = arguments.out.resolve()
    if arguments.photos and out.is_relative_to(ROOT):
        print(f"{out} is in the repository, where only the project's own photos are shown", file=sys.stderr)
        return 2
    rows = from_folder(arguments.photos, arguments.references) if arguments.photos else samples()
    if not rows:
        print(f"there is no picture in {arguments.photos}", file=sys.stderr)
        return 2
    models = [name.strip() for name in arguments.models.split(",") if name.strip()]
    sheet = asyncio.run(make(Settings(), rows, models))
    file = io.BytesIO()
    sheet.save(file, format="jpeg", quality=85, optimize=True, progressive=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(file.getvalue())
    print(f"{out}: {sheet.width}x{sheet.height}, {len(file.getvalue()) / 1000:.0f} kB")
    return 0


def samples() -> list[Row]:
    """Photos that may be shown, darkened at their own size, so that the noise is shrunk with the rest."""
    return [Row(encoded(darken(scene(name), gain=0.06, electrons=4000, seed=3)), scene(name)) for name in SCENES]


def from_folder(photos: Path, references: Path | None) -> list[Row]:
    """Ten photos of a folder, spread over it, with their references."""
    paths = sorted(path for path in photos.glob("*") if is_picture(path))
    chosen = (
        [paths[place] for place in np.unique(np.linspace(0, len(paths) - 1, MOST_PHOTOS).round().astype(int))]
        if paths
        else []
    )
    rows = []
    for path in chosen:
        reference = references / path.name if references else None
        known = reference is not None and reference.is_file()
        rows.append(Row(path.read_bytes(), decoded(reference.read_bytes()) if reference and known else None))
    return rows


async def make(settings: Settings, rows: Sequence[Row], models: Sequence[str]) -> Image.Image:
    """The sheet; `models` empty shows every model that the service would load.

    Raises:
        NightliftError: if a model cannot be served, or a photo cannot be enhanced.
    """
    wanted = settings.model_copy(update={"models": tuple(models) or settings.models, "required_models": ()})
    async with Runtime(wanted) as runtime:
        await runtime.loaded()
        names = list(models) or sorted({model.name for model in runtime.models.loaded()})
        lines = []
        for row in rows:
            answers = [
                await runtime.enhancer.enhance(row.file, EnhanceOptions(model=name, format="png")) for name in names
            ]
            lines.append([decoded(row.file), *(decoded(answer.data) for answer in answers), row.reference])
    titles = ["input", *names]
    if any(line[-1] is not None for line in lines):
        return _sheet([*titles, "reference"], lines)
    return _sheet(titles, [line[:-1] for line in lines])


def _sheet(titles: Sequence[str], lines: Sequence[Sequence[Pixels | None]]) -> Image.Image:
    width, height = CELL
    size = len(titles) * (width + GAP) - GAP, TITLE + len(lines) * (height + GAP) - GAP
    sheet = Image.new("RGB", size, BACKGROUND)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for column, title in enumerate(titles):
        draw.text((column * (width + GAP) + 2, 2), title, INK, font)
    for number, pictures in enumerate(lines):
        for column, picture in enumerate(pictures):
            if picture is not None:
                small = Image.fromarray(picture)
                small.thumbnail(CELL, Image.Resampling.LANCZOS)
                left = column * (width + GAP) + (width - small.width) // 2
                sheet.paste(small, (left, TITLE + number * (height + GAP) + (height - small.height) // 2))
    return sheet


if __name__ == "__main__":
    sys.exit(main())
