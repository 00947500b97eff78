"""`python -m tests.service.pictures.large_files FOLDER`: one picture of 64 megapixels in several formats.

For `python -m benchmarks.memory --files`. What they show repeats itself, so that 16 bits with alpha stay below the
limit of a body; decoding takes as much memory as for any other picture.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
import simplejpeg
from PIL import Image

from tests.pictures import scene
from tests.service.pictures.raw_files import dng, light, mosaic

WIDTH, HEIGHT = 9248, 6936
TILE = 512


def tiled(tile: np.ndarray) -> np.ndarray:
    """A tile repeated over the picture."""
    rows, columns = -(-HEIGHT // tile.shape[0]), -(-WIDTH // tile.shape[1])
    whole = np.tile(tile, (rows, columns, *(1,) * (tile.ndim - 2)))
    return np.ascontiguousarray(whole[:HEIGHT, :WIDTH])


def write(folder: Path) -> None:
    """Write JPEG, PNG of 16 bits with alpha, HEIC and DNG."""
    folder.mkdir(parents=True, exist_ok=True)
    dark = tiled(scene("coffee", (TILE, TILE)) // 8)
    (folder / "photo.jpg").write_bytes(simplejpeg.encode_jpeg(dark, quality=90, colorsubsampling="420"))
    heif = pillow_heif.from_pillow(Image.fromarray(dark))
    heif.save(folder / "photo.heic", quality=40, enc_params={"preset": "ultrafast"})
    deep = np.dstack(
        (tiled((scene("coffee", (TILE, TILE)) // 8).astype(np.uint16) * 257), np.full_like(dark[..., 0], 200))
    )
    deep[..., 3] *= 257
    cv2.imwrite(str(folder / "photo.png"), deep, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    counted = mosaic(light("coffee", (TILE, TILE)), exposure=1 / 16)
    (folder / "photo.dng").write_bytes(dng(tiled(counted)))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
