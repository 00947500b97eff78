"""Views of environment maps: realistic exposures of scenes whose full range of light is known."""

from __future__ import annotations

import base64
import re
import tempfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training.datasets.fuse import exposure_fusion

Light = NDArray[np.float32]
Pixels = NDArray[np.uint8]

VIEW = (192, 256)
"""Height and width of a view in pixels. The maps have 512 or 1024 pixels around: more would be empty."""

KEY = 0.18
"""Logarithmic mean of the light in a well-exposed view (Reinhard et al., 2002, section 3.1)."""

BRACKET = (-2.0, 0.0, 2.0)
"""Stops of the shots that the reference is fused from."""

DARK = (-5.5, -1.5)
"""Stops of the dark shot."""


def read_map(path: Path) -> Light:
    """An equirectangular map as linear light, float32 [H, W, 3], RGB, not below 0.

    Args:
        path: an OpenEXR file, or a script (`.js`) that holds one as a data URL.

    Raises:
        ValueError: the file has no map of red, green and blue.
        ModuleNotFoundError: the extra `open` is not installed.
    """
    import OpenEXR  # only those who make this data need it

    if path.suffix == ".js":
        held = re.search(r"base64,([A-Za-z0-9+/=]+)", path.read_text(encoding="ascii"))
        if held is None:
            raise ValueError(f"{path.name} holds no data URL")
        with tempfile.NamedTemporaryFile(suffix=".exr") as file:
            file.write(base64.b64decode(held[1]))
            file.flush()
            return read_map(Path(file.name))
    channels = OpenEXR.File(str(path)).channels()
    if "RGB" not in channels:
        raise ValueError(f"{path.name} has the channels {', '.join(channels)}, not red, green and blue")
    return np.maximum(np.nan_to_num(channels["RGB"].pixels.astype(np.float32), posinf=65504.0), 0)


def look(sphere: Light, yaw: float, pitch: float, across: float, size: tuple[int, int] = VIEW) -> Light:
    """A camera's view of a map (gnomonic projection: Snyder, "Map Projections", 1987, section 22).

    Args:
        sphere: float32 [H, W, 3], equirectangular, the horizon in the middle row.
        yaw: of the camera's axis, in radians, to the right of the map's middle.
        pitch: the same upwards.
        across: horizontal angle of view in radians, less than pi.
        size: height and width of the view.

    Returns:
        float32 [height, width, 3].
    """
    height, width = size
    rows, columns = sphere.shape[:2]
    pixel = 2 * np.tan(across / 2) / width
    right = (np.arange(width) - (width - 1) / 2) * pixel
    up = ((height - 1) / 2 - np.arange(height)) * pixel
    x, y = np.meshgrid(right, up)
    ahead = np.cos(pitch) - y * np.sin(pitch)
    above = np.sin(pitch) + y * np.cos(pitch)
    longitude = yaw + np.arctan2(x, ahead)
    latitude = np.arctan2(above, np.hypot(x, ahead))
    around = ((longitude / (2 * np.pi) + 0.5) % 1) * columns - 0.5
    down = np.clip((0.5 - latitude / np.pi) * rows - 0.5, 0, rows - 1)
    wrapped = np.concatenate([sphere[:, -1:], sphere, sphere[:, :1]], axis=1)
    seen = cv2.remap(
        wrapped,
        (around + 1).astype(np.float32),
        down.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(seen, np.float32)


def shoot(light: Light, stops: float, white: float, tone: float) -> Pixels:
    """A camera's picture of linear light, uint8 [H, W, 3].

    Highlights are compressed up to the light that gives white (Reinhard et al., "Photographic Tone Reproduction for
    Digital Images", 2002, equation 4), then raised to a power.

    Args:
        light: float32 [H, W, 3], well exposed at 0 stops.
        stops: exposure.
        white: light that becomes white; the larger, the less highlights are compressed.
        tone: exponent from code values to light.
    """
    exposed = light * np.float32(2.0**stops)
    compressed = exposed * (1 + exposed / white**2) / (1 + exposed)
    return np.asarray(np.round(255 * np.clip(compressed, 0, 1) ** (1 / tone)), np.uint8)


def random_pair(sphere: Light, random: np.random.Generator) -> tuple[Pixels, Pixels]:
    """A random view of a map in too little light, and the fusion of three exposures of it; uint8 [H, W, 3]."""
    across = np.radians(random.uniform(60, 110))
    view = look(sphere, random.uniform(-np.pi, np.pi), random.uniform(-0.35, 0.35), across)
    mean = float(np.exp(np.log(view.mean(axis=2) + 1e-4).mean()))
    light = view * np.float32(KEY / mean)
    white, tone = random.uniform(2.0, 8.0), random.uniform(2.0, 2.4)
    reference = exposure_fusion([shoot(light, stops, white, tone) for stops in BRACKET])
    return shoot(light, random.uniform(*DARK), white, tone), reference
