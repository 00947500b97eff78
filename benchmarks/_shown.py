"""How other programs decode a picture: Pillow, and libvips by its command line if that is installed."""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

_SRGB = ImageCms.createProfile("sRGB")
_DEEP_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I")


@dataclass(frozen=True)
class Shown:
    """A file as decoded by a program.

    Attributes:
        rgb: upright sRGB picture, float32 [H, W, 3], 0 to 255; colours of transparent pixels as stored.
        alpha: float32 [H, W], 0 to 255, or None.
        bits: bit depth of the decoded picture, 8 or 16.
        profile, exif, xmp, iptc: whether the file has such a block.
        density: horizontal print resolution in pixels per inch, or None.
    """

    rgb: NDArray[np.float32]
    alpha: NDArray[np.float32] | None
    bits: int
    profile: bool
    exif: bool
    xmp: bool
    iptc: bool
    density: float | None


def by_pillow(data: bytes) -> Shown | None:
    """The first frame as decoded by Pillow; None if it cannot. Pillow has 16 bits only for grey pictures."""
    try:
        image: Image.Image = Image.open(io.BytesIO(data))
        if image.format in ("WMF", "EPS", "PDF", "SVG"):
            return None
        info, exif = dict(image.info), image.getexif()
        iptc = b"8BIM\x04\x04" in data or 33723 in getattr(image, "tag_v2", {})
        image.load()
        image = ImageOps.exif_transpose(image)
        return Shown(
            *_pixels(image, info.get("icc_profile")),
            bits=16 if image.mode in _DEEP_MODES else 8,
            profile=bool(info.get("icc_profile")),
            exif=bool(set(exif) - {0x0112, 0x0100, 0x0101, 0x0131, 0x011A, 0x011B, 0x0128}) and "exif" in info,
            xmp=bool(info.get("xmp") or info.get("XML:com.adobe.xmp")),
            iptc=iptc,
            density=_density(info),
        )
    except Exception:  # broken files make Pillow raise all kinds of errors
        return None


def _pixels(image: Image.Image, profile: bytes | None) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    if image.mode in _DEEP_MODES:
        grey = np.asarray(image).astype(np.float32) / 257
        return np.repeat(grey[..., None], 3, axis=2), None
    has_alpha = image.has_transparency_data
    alpha = np.asarray(image.convert("RGBA"))[..., 3].astype(np.float32) if has_alpha else None
    if image.mode not in ("RGB", "L", "CMYK"):
        image = image.convert("L" if image.mode in ("LA", "La", "1") else "RGB")
    if profile:
        with suppress(ImageCms.PyCMSError):  # the profile is for another colour model
            shown = ImageCms.profileToProfile(
                *(image, io.BytesIO(profile), _SRGB),
                renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
                outputMode="RGB",
                flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )
            image = shown or image
    return np.asarray(image.convert("RGB")).astype(np.float32), alpha


def _density(info: dict[Any, Any]) -> float | None:
    dpi = info.get("dpi")
    return float(dpi[0]) if dpi and float(dpi[0]) > 1 else None


def vips_is_installed() -> bool:
    """Whether the command `vips` is available."""
    return shutil.which("vips") is not None


def by_vips(path: Path) -> Shown | None:
    """The first frame as decoded by libvips, in sRGB; None if it cannot.

    `density` is always None, because libvips reports 72 pixels per inch for files without a print resolution.
    """
    with tempfile.TemporaryDirectory() as folder:
        upright, shown = Path(folder) / "upright.v", Path(folder) / "shown.png"
        if not _vips("autorot", path, upright):
            return None
        fields = _fields(upright)
        depth = 16 if fields.get("format") == "ushort" else 8
        transform = ("icc_transform", upright, shown, "srgb", "--embedded", "--depth", str(depth))
        if not (_vips(*transform) or _vips("copy", upright, shown)):  # icc_transform fails without a profile
            return None
        planes = _read_png(shown.read_bytes())
    planes = planes.astype(np.float32) / (257 if planes.dtype == np.uint16 else 1)
    planes = planes[..., None] if planes.ndim == 2 else planes
    color = planes[..., :3] if planes.shape[2] >= 3 else np.repeat(planes[..., :1], 3, axis=2)
    return Shown(
        rgb=np.ascontiguousarray(color),
        alpha=planes[..., -1].astype(np.float32) if planes.shape[2] in (2, 4) else None,
        bits=depth,
        profile="icc-profile-data" in fields,
        exif="exif-data" in fields,
        xmp="xmp-data" in fields,
        iptc="iptc-data" in fields,
        density=None,
    )


def _vips(*words: str | Path) -> bool:
    outcome = subprocess.run(("vips", *map(str, words)), capture_output=True, timeout=120, check=False)
    return not outcome.returncode


def _read_png(data: bytes) -> NDArray[Any]:
    import cv2

    planes = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if planes is None:
        raise ValueError("libvips wrote a PNG that cannot be read")
    if planes.ndim == 3:
        planes[..., :3] = planes[..., 2::-1].copy()
    return np.asarray(planes)


def _fields(path: Path) -> dict[str, str]:
    outcome = subprocess.run(("vipsheader", "-a", str(path)), capture_output=True, text=True, timeout=60, check=False)
    pairs = (line.partition(": ") for line in outcome.stdout.splitlines())
    return {name.strip(): value for name, _, value in pairs}
