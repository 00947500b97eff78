"""Enhance the photos that the web page shows before and after, as the service does it.

    python -m docs.make_samples

The photos lie in service/page/static/samples, with their authors and licences in CREDITS.md there.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

from PIL import Image

import service.page
from nightlift import enhance
from nightlift.client import Options

SAMPLES = service.page.STATIC / "samples"


class Showcase(NamedTuple):
    """A photo that is shown before and after, and the options that a visitor would choose for it."""

    name: str
    options: Options


SHOWCASES = (Showcase("street", {}), Showcase("meadow", {}))

QUALITY = 76
"""Of WebP: 100 kB for a photo of 900 pixels."""


def make_samples(folder: Path) -> list[Path]:
    """Write what becomes of the photos into `folder`, as NAME-after.webp, and return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, options in SHOWCASES:
        answer = enhance(SAMPLES / f"{name}.jpg", format="png", **options)
        path = folder / f"{name}-after.webp"
        Image.open(io.BytesIO(answer.data)).convert("RGB").save(path, quality=QUALITY, method=6)
        paths.append(path)
    return paths


if __name__ == "__main__":
    for path in make_samples(SAMPLES):
        print(f"{path.name} {path.stat().st_size / 1000:.0f} kB")
