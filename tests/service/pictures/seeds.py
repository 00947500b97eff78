"""Small sound files of every accepted format, from which tests make damaged ones."""

from __future__ import annotations

import numpy as np
from PIL import Image

from tests.service.pictures.files import exif_block, heic, pillow_file, png_file, tiff_file
from tests.service.pictures.profiles import rgb_profile


def _seeds() -> dict[str, bytes]:
    random = np.random.default_rng(7)
    color = random.integers(0, 256, (18, 24, 3), np.uint8)
    deep = random.integers(0, 65536, (18, 24, 3), np.uint16)
    image, extras = Image.fromarray(color), {"exif": exif_block(6), "icc_profile": rgb_profile()}
    return {
        "jpeg": pillow_file(color, "JPEG", **extras),
        "jpeg progressive": pillow_file(color, "JPEG", progressive=True),
        "jpeg cmyk": pillow_file(image.convert("CMYK"), "JPEG"),
        "mpo": pillow_file(image, "MPO", save_all=True, append_images=[image]),
        "png": pillow_file(color, "PNG", **extras),
        "png palette": pillow_file(image.quantize(8), "PNG", transparency=3),
        "png 16": png_file(deep, 2),
        "webp": pillow_file(color, "WEBP", **extras),
        "webp lossy": pillow_file(color, "WEBP", lossless=False),
        "webp animated": pillow_file(image, "WEBP", save_all=True, append_images=[image.rotate(180)]),
        "avif": pillow_file(color, "AVIF", **extras),
        "tiff": pillow_file(color, "TIFF", exif=exif_block(3), icc_profile=rgb_profile()),
        "tiff lzw": pillow_file(color, "TIFF", compression="tiff_lzw"),
        "tiff 16": tiff_file(deep, photometric="rgb", compression="zlib"),
        "bmp": pillow_file(color, "BMP"),
        "gif": pillow_file(image, "GIF", save_all=True, append_images=[image.rotate(180)]),
        "heic": heic(color, quality=50),
    }


SEEDS = _seeds()
"""What the file is -> its bytes; all are 24 pixels wide and 18 high."""
