"""Photos of mixed sizes for load tests, and the PSNR of two pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

COUNT = 40
SMALLEST, LARGEST = 0.2, 12.0  # megapixels
KINDS = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
SAMPLES = ("astronaut", "coffee", "chelsea", "rocket")

Pixels = NDArray[np.uint8]


def mixed(folders: Sequence[Path] = (), seed: int = 0) -> list[bytes]:
    """The same 40 JPEGs every time, of 0.2 to 12 megapixels, 2.9 on average, evenly spaced on a logarithmic scale.

    Args:
        folders: folders of photos to resize; if empty, scikit-image's samples are used, darkened.
        seed: for the assignment of sizes to photos.

    Raises:
        FileNotFoundError: if the folders contain no photos.
    """
    random = np.random.default_rng(seed)
    sizes = np.exp(np.linspace(np.log(SMALLEST), np.log(LARGEST), COUNT))
    sources = _from_folders(folders) if folders else _samples()
    files = []
    for number, megapixels in enumerate(random.permutation(sizes)):
        source = sources[number % len(sources)]
        pixels = _read(source) if isinstance(source, Path) else source
        height, width = pixels.shape[:2]
        scale = (megapixels * 1e6 / (height * width)) ** 0.5
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        resized = cv2.resize(
            pixels, (max(16, round(width * scale)), max(16, round(height * scale))), interpolation=how
        )
        files.append(jpeg_of(np.asarray(resized, np.uint8)))
    return files


def jpeg_of(pixels: Pixels) -> bytes:
    """A JPEG of quality 90, 4:2:0, from uint8 [H, W, 3]."""
    return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=90, colorsubsampling="420"))


def pixels_of(file: bytes) -> Pixels:
    """A JPEG decoded to uint8 [H, W, 3]."""
    return np.asarray(simplejpeg.decode_jpeg(file))


def psnr(one: Pixels, other: Pixels) -> float:
    """Peak signal-to-noise ratio in dB of two uint8 pictures of the same shape; infinite if they are equal."""
    error = float(np.mean((one.astype(np.float32) - other.astype(np.float32)) ** 2))
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))


def pairs(folder: Path) -> list[tuple[Pixels, Pixels]]:
    """(dark, reference) pictures, uint8 [H, W, 3], of a folder with the folders `low` and `high`; their names match.

    Raises:
        FileNotFoundError: if there are none, or a reference is missing.
    """
    found = [(_read(low), _read(folder / "high" / low.name)) for low in sorted((folder / "low").glob("*.png"))]
    if not found:
        raise FileNotFoundError(f"{folder} has no pictures in low and high")
    return found


def _from_folders(folders: Sequence[Path]) -> list[Path | Pixels]:
    files = [path for folder in folders for path in sorted(folder.rglob("*"))]
    found: list[Path | Pixels] = [path for path in files if path.suffix.lower() in KINDS]
    if not found:
        raise FileNotFoundError(f"no photos in {', '.join(map(str, folders))}")
    return found


def _samples() -> list[Path | Pixels]:
    from skimage import data

    return [np.asarray(getattr(data, name)()[..., :3] * 0.25, np.uint8) for name in SAMPLES]


def _read(path: Path) -> Pixels:
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise FileNotFoundError(f"{path} cannot be read")
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)
