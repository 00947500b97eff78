"""Make the sample photos of the web page: well-lit photos that may be shown freely, with their light taken away.

    python -m docs.make_samples

The photos ship with scikit-image, whose documentation states their terms: `coffee` (Rachel Michetti) and `chelsea`
(Stefan van der Walt) are CC0, `astronaut` (NASA) and `rocket` (SpaceX) are in the public domain.
"""

from __future__ import annotations

from pathlib import Path

import service.page
from tests import pictures

SAMPLES = service.page.STATIC / "samples"

NAMES = {"astronaut": "astronaut", "chelsea": "cat", "coffee": "coffee", "rocket": "rocket"}
"""What a photo is called in scikit-image, and on the page."""

GAINS = {"rocket": 0.35}
"""Share of the light that is left; the rocket was photographed at dusk already."""


def make_samples(folder: Path) -> list[Path]:
    """Write the samples into `folder` and return their paths: JPEG files of less than 60 KB."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, title in NAMES.items():
        dark = pictures.darken(pictures.scene(name), gain=GAINS.get(name, 0.06), electrons=8000, read_noise=4)
        path = folder / f"{title}.jpg"
        path.write_bytes(pictures.encoded(dark, "jpeg", quality=82))
        paths.append(path)
    return paths


if __name__ == "__main__":
    for path in make_samples(SAMPLES):
        print(f"{path} {path.stat().st_size / 1000:.0f} KB")
