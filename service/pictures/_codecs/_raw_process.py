"""Run as a separate process by `_raw`: a raw file from standard input, a line of JSON and bytes to standard output.

It imports nothing of the service, so that it starts quickly.
"""

from __future__ import annotations

import io
import json
import resource
import sys
from typing import Any

MEMORY = 4 * 1024**3
"""Most address space: LibRaw holds some 18 bytes a pixel, and 67 million pixels are allowed."""

_SRGB_CURVE = (2.4, 12.92)
"""Power and slope at black, as LibRaw wants them (IEC 61966-2-1)."""

MAX_PREVIEW_BYTES = 16 * 1024**2


def main(task: str, seconds: float) -> None:
    """Do one task: "header" or "pixels"."""
    if sys.platform != "darwin":  # which has no such limit, and refuses it
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import rawpy

    data = sys.stdin.buffer.read()
    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            if task == "header":
                _say_header(rawpy, raw)
            else:
                _say_pixels(rawpy, raw)
    except rawpy.LibRawFileUnsupportedError:
        _say({"unsupported": "its format or camera is unknown"})
    except (rawpy.LibRawError, rawpy.NotSupportedError, MemoryError, ValueError) as error:
        _say({"damaged": str(error)[:200] or type(error).__name__})


def _say_header(rawpy: Any, raw: Any) -> None:
    sizes = raw.sizes
    try:
        thumbnail = raw.extract_thumb()
        preview = thumbnail.data if thumbnail.format == rawpy.ThumbFormat.JPEG else b""
    except rawpy.LibRawError:
        preview = b""
    if len(preview) > MAX_PREVIEW_BYTES:
        preview = b""
    _say({"width": sizes.iwidth, "height": sizes.iheight, "flip": sizes.flip, "preview_bytes": len(preview)}, preview)


def _say_pixels(rawpy: Any, raw: Any) -> None:
    pixels = raw.postprocess(
        use_camera_wb=True,
        no_auto_bright=True,
        output_color=rawpy.ColorSpace.sRGB,
        output_bps=16,
        gamma=_SRGB_CURVE,
        user_flip=0,
    )
    height, width, _ = pixels.shape
    _say({"width": width, "height": height}, memoryview(pixels).cast("B"))


def _say(answer: dict[str, Any], content: bytes | memoryview = b"") -> None:
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
