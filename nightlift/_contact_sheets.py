"""Contact sheets: small pictures before and after, side by side, with their names."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from nightlift._files import write_whole
from nightlift._jobs import FORMATS
from service.errors import NightliftError
from service.pictures import decode

PAIRS = 12
"""Pairs on one sheet, in two columns."""

CELL = (280, 210)
"""Largest width and height of one small picture, in pixels."""

GAP = 12
LINE = 18
TITLE = 32
BACKGROUND, INK = (24, 24, 28), (220, 220, 220)

Pixels = NDArray[np.uint8]


def write_contact_sheets(pairs: Sequence[tuple[Path, Path]], out: Path, title: str) -> list[Path]:
    """Write sheets that show each (before, after) pair in order; returns their paths, none if there is no pair.

    Args:
        pairs: files of pictures. Files that cannot be read are left out.
        title: of all sheets.
        out: a folder for `contact_sheet_001.jpg` and so on; or a picture, beside which a single sheet is written.
    """
    if not pairs:
        return []
    if out.suffix.lower() in FORMATS and not out.is_dir():
        names = [out.with_name(f"{out.stem}_compared.jpg")]
    else:
        names = [out / f"contact_sheet_{number + 1:03}.jpg" for number in range(-(-len(pairs) // PAIRS))]
    for number, name in enumerate(names):
        first = PAIRS * number
        shown = pairs[first : first + PAIRS]
        which = f", {first + 1} to {first + len(shown)} of {len(pairs)}" if len(names) > 1 else ""
        sheet = _sheet(shown, f"Before and after: {title}{which}")
        file = io.BytesIO()
        Image.fromarray(sheet).save(file, format="jpeg", quality=88)
        write_whole(name, file.getvalue())
    return names


def _sheet(pairs: Sequence[tuple[Path, Path]], title: str) -> Pixels:
    columns = min(2, len(pairs))
    rows = -(-len(pairs) // columns)
    cell_width, cell_height = 2 * CELL[0] + 2 * GAP, CELL[1] + LINE + GAP
    size = (columns * cell_width + GAP, TITLE + rows * cell_height + GAP)
    sheet = Image.new("RGB", size, BACKGROUND)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    draw.text((GAP, GAP), _fitted(title, size[0] - 2 * GAP, heading := ImageFont.load_default(16)), INK, heading)
    for number, (before, after) in enumerate(pairs):
        left = GAP + number % columns * cell_width
        top = TITLE + GAP + number // columns * cell_height
        draw.text((left, top), _fitted(before.name, 2 * CELL[0], font), INK, font)
        for index, path in enumerate((before, after)):
            small = _small(path)
            if small is not None:
                sheet.paste(Image.fromarray(small), (left + index * (CELL[0] + GAP), top + LINE))
    return np.asarray(sheet)


def _fitted(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """The text, shortened in its middle until it is no wider than `width` pixels."""
    shown, kept = text, len(text)
    while kept > 2 and font.getlength(shown) > width:
        kept -= 1
        shown = f"{text[: kept - kept // 2]}…{text[-(kept // 2) :]}"
    return shown


def _small(path: Path) -> Pixels | None:
    """The picture in sRGB, fitted into `CELL`, uint8 [h, w, 3]; None if it cannot be read."""
    try:
        picture = decode(path.read_bytes())
    except (NightliftError, OSError):
        return None
    scale = min(CELL[0] / picture.width, CELL[1] / picture.height, 1.0)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.srgb(cv2.resize(picture.pixels, size, interpolation=cv2.INTER_AREA))
