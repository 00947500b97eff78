"""Pictures for tests: deterministic, real-looking, made from the samples that scikit-image ships.

Nothing is downloaded. `scene` is a well-lit photo, `darken` takes the light away as a camera would (gain,
gamma, shot and read noise, 8-bit rounding), and `dark_scene` is both. `encoded` gives file bytes.
"""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage import data

SCENES = ("astronaut", "chelsea", "coffee", "rocket")
"""Names of the photos that `scene` knows; all ship inside scikit-image's wheel."""

Pixels = NDArray[np.uint8]


@cache
def _original(name: str) -> Pixels:
    if name not in SCENES:
        raise ValueError(f"there is no scene {name!r}; choose one of {', '.join(SCENES)}")
    picture = np.ascontiguousarray(getattr(data, name)())
    picture.setflags(write=False)
    return picture


def scene(name: str = "astronaut", size: tuple[int, int] | None = None) -> Pixels:
    """A well-lit photo, uint8 [H, W, 3], sRGB; resized to `size` = (height, width) where given."""
    picture = _original(name)
    if size is None:
        return picture.copy()
    height, width = size
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS)).copy()


def darken(
    picture: Pixels,
    *,
    gain: float = 0.12,
    gamma: float = 1.0,
    electrons: float = 2000.0,
    read_noise: float = 4.0,
    seed: int = 0,
) -> Pixels:
    """The same view with less light: uint8 [..., 3] in, the same shape out.

    The photo is taken to linear light (power 2.2), dimmed by `gain` after a tone change by `gamma`, counted
    in `electrons` at white with Poisson shot noise and Gaussian `read_noise` (in electrons), and written in
    8 bit again.
    """
    random = np.random.default_rng(seed)
    linear = (picture / 255.0) ** 2.2
    light = gain * linear**gamma
    counted = random.poisson(light * electrons) + random.normal(0.0, read_noise, picture.shape)
    code = np.clip(counted / electrons, 0.0, 1.0) ** (1 / 2.2)
    return np.round(255 * code).astype(np.uint8)


def dark_scene(name: str = "astronaut", size: tuple[int, int] | None = None, seed: int = 0) -> Pixels:
    """A photo taken in too little light, uint8 [H, W, 3]."""
    return darken(scene(name, size), seed=seed)


def pair(name: str = "astronaut", size: tuple[int, int] | None = None, seed: int = 0) -> tuple[Pixels, Pixels]:
    """The same view (dark, well lit), both uint8 [H, W, 3]."""
    bright = scene(name, size)
    return darken(bright, seed=seed), bright


def grey_ramp(size: tuple[int, int] = (64, 256)) -> Pixels:
    """Grey from black on the left to white on the right, uint8 [H, W, 3]."""
    height, width = size
    row = np.round(np.linspace(0, 255, width)).astype(np.uint8)
    return np.broadcast_to(row[None, :, None], (height, width, 3)).copy()


def constant(value: int = 40, size: tuple[int, int] = (64, 96)) -> Pixels:
    """One colour, all channels `value`, uint8 [H, W, 3]."""
    return np.full((*size, 3), value, np.uint8)


def letterboxed(name: str = "coffee", size: tuple[int, int] = (160, 240), bar: int = 32) -> Pixels:
    """A dark photo between two exactly black bars of `bar` rows, uint8 [H, W, 3]."""
    picture = dark_scene(name, size)
    picture[:bar] = 0
    picture[-bar:] = 0
    return picture


def single_lamp(size: tuple[int, int] = (160, 240)) -> Pixels:
    """A black night with one round white lamp and its faint halo, uint8 [H, W, 3]."""
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot(rows - height / 3, columns - width / 2)
    light = np.where(distance < 6, 1.0, 0.25 * np.exp(-distance / 12))
    return np.repeat(np.round(255 * light).astype(np.uint8)[..., None], 3, axis=2)


def encoded(picture: NDArray[Any], format: str = "png", **options: Any) -> bytes:
    """The picture as file bytes by Pillow; `format` is Pillow's name, `options` go to its encoder.

    Takes what `Image.fromarray` takes: uint8 [H, W, 3], [H, W, 4] or [H, W].
    """
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format=format, **options)
    return file.getvalue()


def decoded(file: bytes) -> Pixels:
    """RGB pixels of file bytes by Pillow, uint8 [H, W, 3]; profiles and orientation are not applied."""
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB")).copy()
