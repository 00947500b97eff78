"""A contact sheet: photos by row; the input, every model's answer, and the reference where there is one, by column.

    python -m docs.make_contact_sheet          the project's own picture, docs/images/models.webp
    python -m docs.make_contact_sheet --photos data/LIME --out /elsewhere/lime.jpg
    python -m docs.make_contact_sheet --photos data/LOLv1/eval15/low --references data/LOLv1/eval15/high --out lol.jpg
    python -m docs.make_contact_sheet --photos data/DICM --blind 7 --cell 400x300 --out blind.jpg

With --blind the answers of each row stand in an order of their own, under letters. Which is which stands in
`<out>.key.json`, to be opened when the judgement is written down.

Without --photos it shows samples of scikit-image, darkened, which may be shown to everybody. Photos of other people's
data sets may not, so their sheets are not written into the repository.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from service.enhancement import EnhanceOptions
from service.pictures import is_picture
from service.runtime import Runtime
from service.settings import Settings
from tests.pictures import SCENES, darken, decoded, encoded, scene

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs/images/models.webp"
MAX_PHOTOS = 10
CELL = (200, 150)
"""Width and height of one picture in pixels, if not said otherwise."""

DARKENED = {0.2: SCENES, 0.06: SCENES, 0.02: SCENES[:1] + SCENES[2:3]}
"""Which of our samples are shown, by the share of light that is left of them: ten photos."""

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
    parser.add_argument(
        "--blind", type=int, metavar="SEED", help="shuffle the models in every row, and tell no names"
    )
    parser.add_argument("--cell", type=_cell, default=CELL, help="width and height of one picture, as 200x150")
    parser.add_argument("--full-size", action="store_true", help="show the middle at full size, not the whole small")
    parser.add_argument("--out", type=Path, default=TARGET, help="picture to write, JPEG or WebP by its suffix")
    arguments = parser.parse_args()
    out: Path = arguments.out.resolve()
    if arguments.photos and out.is_relative_to(ROOT):
        print(f"{out} is in the repository, where only the project's own photos are shown", file=sys.stderr)
        return 2
    rows = from_folder(arguments.photos, arguments.references) if arguments.photos else samples()
    if not rows:
        print(f"no pictures found in {arguments.photos}", file=sys.stderr)
        return 2
    models = [name.strip() for name in arguments.models.split(",") if name.strip()]
    names, lines = asyncio.run(answers(Settings(), rows, models))
    out.parent.mkdir(parents=True, exist_ok=True)
    if arguments.blind is not None:
        orders = shuffle(lines, len(names), arguments.blind)
        key = [[names[place] for place in order] for order in orders]
        out.with_suffix(".key.json").write_text(json.dumps(key, indent=1) + "\n", encoding="utf-8")
        names = list(ascii_uppercase[: len(names)])
    sheet = draw(names, lines, arguments.cell, full_size=arguments.full_size)
    sheet.save(out, quality=70, method=6)
    print(f"{out}: {sheet.width}x{sheet.height}, {out.stat().st_size / 1000:.0f} kB")
    return 0


def samples() -> list[Row]:
    """Photos that may be shown, darkened at their own size, so that the noise is shrunk with the rest."""
    return [
        Row(encoded(darken(scene(name), gain=gain, electrons=4000, seed=3)), scene(name))
        for gain, names in DARKENED.items()
        for name in names
    ]


def from_folder(photos: Path, references: Path | None) -> list[Row]:
    """Ten photos of a folder, spread over it, with their references."""
    paths = sorted(path for path in photos.glob("*") if is_picture(path))
    chosen = (
        [paths[place] for place in np.unique(np.linspace(0, len(paths) - 1, MAX_PHOTOS).round().astype(int))]
        if paths
        else []
    )
    rows = []
    for path in chosen:
        reference = references / path.name if references else None
        known = reference is not None and reference.is_file()
        rows.append(Row(path.read_bytes(), decoded(reference.read_bytes()) if reference and known else None))
    return rows


async def answers(
    settings: Settings, rows: Sequence[Row], models: Sequence[str]
) -> tuple[list[str], list[list[Pixels | None]]]:
    """Names of the models, and for each photo: itself, every model's answer, and the reference if it is known.

    `models` empty shows every model that the service would load and that takes pictures.

    Raises:
        NightliftError: if a model cannot be served, or a photo cannot be enhanced.
    """
    wanted = settings.model_copy(update={"models": tuple(models) or settings.models, "required_models": ()})
    async with Runtime(wanted) as runtime:
        await runtime.loaded()
        takers = {model.name for model in runtime.models.loaded() if model.config.takes_pictures}
        names = list(models) or sorted(takers)
        lines: list[list[Pixels | None]] = []
        for row in rows:
            enhanced = [await runtime.enhance(row.file, EnhanceOptions(model=name, format="png")) for name in names]
            lines.append([decoded(row.file), *(decoded(answer.data) for answer in enhanced), row.reference])
    return names, lines


def shuffle(lines: Sequence[list[Pixels | None]], models: int, seed: int) -> list[list[int]]:
    """Put the models' answers of each row, in place, into a random order; returns these orders."""
    random = np.random.default_rng(seed)
    orders = [random.permutation(models).tolist() for _ in lines]
    for line, order in zip(lines, orders, strict=True):
        line[1 : 1 + models] = [line[1 + place] for place in order]
    return orders


def draw(
    names: Sequence[str],
    lines: Sequence[Sequence[Pixels | None]],
    cell: tuple[int, int] = CELL,
    *,
    full_size: bool = False,
) -> Image.Image:
    """The sheet, with a title over each column; the references are left out where none is known."""
    columns = ["input", *names, "reference"]
    if all(line[-1] is None for line in lines):
        columns.pop()
    width, height = cell
    size = len(columns) * (width + GAP) - GAP, TITLE + len(lines) * (height + GAP) - GAP
    sheet = Image.new("RGB", size, BACKGROUND)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for column, title in enumerate(columns):
        pen.text((column * (width + GAP) + 2, 2), title, INK, font)
        for number, line in enumerate(lines):
            picture = line[column]
            if picture is not None:
                view = _middle(picture, cell) if full_size else _small(picture, cell)
                left = column * (width + GAP) + (width - view.width) // 2
                sheet.paste(view, (left, TITLE + number * (height + GAP) + (height - view.height) // 2))
    return sheet


def _small(picture: Pixels, cell: tuple[int, int]) -> Image.Image:
    view = Image.fromarray(picture)
    view.thumbnail(cell, Image.Resampling.LANCZOS)
    return view


def _middle(picture: Pixels, cell: tuple[int, int]) -> Image.Image:
    (height, width), (across, down) = picture.shape[:2], cell
    left, top = max(0, (width - across) // 2), max(0, (height - down) // 2)
    return Image.fromarray(picture[top : top + down, left : left + across])


def _cell(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    return int(width), int(height)


if __name__ == "__main__":
    sys.exit(main())
