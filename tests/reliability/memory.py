"""What pictures of every kind take of memory, against what they are counted as; and the documented sum, held to.

    python -m tests.reliability.memory [--sum-only]

Each kind of picture, 16 megapixels, is enhanced by a fresh service, whose peak may not exceed `plain_pixels`. Then a
service that may not have more memory than docs/operations.md says gets eight pictures of 64 megapixels at once, of 16
bits with alpha: all are answered. Takes four minutes, and 8 GB of memory.
"""

from __future__ import annotations

import argparse
import io
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import httpx
import numpy as np
import tifffile
from PIL import Image

from service.pictures import PLAIN, Header, PictureFormat, inspect, plain_pixels
from service.settings import Settings
from tests.pictures import dark_scene, encoded
from tests.reliability.load import Verdict, resident_mib
from tests.servers import serving

SIDE = 4000
LARGE_SIDE = 8000
AT_ONCE = 8
SETTLE_SECONDS = 60.0
EXTRA = ("unassalpha", "unspecified")
MODELS = Path(__file__).resolve().parents[2] / "model_repository"
SERVICE = {"models": "nightlift", "cpu_threads": 0}


def files() -> Iterator[tuple[str, bytes, str]]:
    """(Name, file, format of the answer) of every kind."""
    rgb = cv2.resize(dark_scene(size=(SIDE // 4, SIDE // 4)), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    rgba = np.dstack([rgb, np.full((SIDE, SIDE), 200, np.uint8)])
    deep, deep_alpha = rgb.astype(np.uint16) * 200, rgba.astype(np.uint16) * 200
    yield "JPEG", encoded(rgb, "jpeg", quality=90), "jpeg"
    yield "JPEG, CMYK", saved(Image.fromarray(rgb).convert("CMYK"), "JPEG"), "jpeg"
    yield "PNG", encoded(rgb, "png", compress_level=1), "png"
    yield "PNG, alpha", encoded(rgba, "png", compress_level=1), "png"
    yield "PNG, 16 bits", png(deep), "png"
    yield "PNG, 16 bits, alpha", png(deep_alpha), "png"
    yield "PNG, 16 bits, alpha, as JPEG", png(deep_alpha), "jpeg"
    yield "WebP, alpha", encoded(rgba, "webp", method=0), "webp"
    yield "AVIF", encoded(rgb, "avif", speed=10), "avif"
    yield "JPEG as TIFF", encoded(rgb, "jpeg"), "tiff"
    yield "TIFF, 16 bits", tiff(deep), "tiff"
    yield "TIFF, 16 bits, alpha", tiff(deep_alpha), "tiff"
    yield "TIFF, 16 bits, multiplied with alpha, as JPEG", tiff(deep_alpha, "assocalpha"), "jpeg"
    yield "TIFF, 16 bits, five samples, as JPEG", tiff(np.dstack([deep_alpha, deep[..., 0]]), *EXTRA), "jpeg"
    frames = {"save_all": True, "append_images": [Image.fromarray(rgb[::-1])], "method": 0}
    yield "WebP, animated, as JPEG", encoded(rgb, "webp", **frames), "jpeg"
    yield "AVIF, alpha, as JPEG", encoded(rgba, "avif", speed=10, subsampling="4:4:4"), "jpeg"


def png(pixels: np.ndarray) -> bytes:
    """By OpenCV, which writes 16 bits."""
    return cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


def tiff(pixels: np.ndarray, *extra: str) -> bytes:
    """Deflated, in strips; `extra` names the samples behind the colours."""
    file = io.BytesIO()
    options = {"extrasamples": extra or ["unassalpha"]} if pixels.shape[2] > 3 else {}
    tifffile.imwrite(file, pixels, photometric="rgb", compression="zlib", rowsperstrip=64, **options)
    return file.getvalue()


def saved(image: Image.Image, format: str) -> bytes:
    """By Pillow."""
    file = io.BytesIO()
    image.save(file, format)
    return file.getvalue()


def peak_mib(pid: int) -> float:
    """The most that a process has had since `reset_peak`."""
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024


def reset_peak(pid: int) -> None:
    """Let the kernel measure again."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def check_kinds(folder: Path, verdict: Verdict) -> None:
    """Every kind by itself."""
    small = encoded(dark_scene(size=(400, 600)), "jpeg")
    for name, file, target in files():
        with serving(MODELS, folder, **SERVICE) as server:
            httpx.post(f"{server.url}/enhance", content=small, timeout=60).raise_for_status()
            pid = server.process.pid
            reset_peak(pid)
            before = resident_mib(pid)
            answer = httpx.post(f"{server.url}/enhance", params={"format": target}, content=file, timeout=120)
            answer.raise_for_status()
            measured = (peak_mib(pid) - before) * 2**20 / SIDE**2
        counted = PLAIN * plain_pixels(inspect(file), PictureFormat(target)) / SIDE**2
        verdict.line(name, f"{measured:.1f} bytes a pixel", f"{counted:.0f} at most", measured <= counted)


def documented_bytes() -> float:
    """The sum of docs/operations.md for pictures: the process, those in flight, their bodies and answers."""
    settings = Settings()
    costliest = Header(PictureFormat.AVIF, 1000, 1000, has_alpha=True)
    alone = PLAIN * plain_pixels(costliest, PictureFormat.AVIF) / costliest.pixels * settings.max_pixels
    pictures = max(PLAIN * settings.max_pixels_in_flight, alone)
    bodies = settings.max_body_bytes_in_flight + settings.max_body_bytes
    return 0.5e9 + pictures + bodies + 2 * settings.max_answer_bytes_in_flight


def check_sum(folder: Path, verdict: Verdict) -> None:
    """Eight of the costliest at once, in a service that cannot have more than is documented."""
    pixels = np.zeros((LARGE_SIDE, LARGE_SIDE, 4), np.uint16)
    pixels[..., 3] = 65535
    pixels[::2, ::2, :3] = 3000
    file = tiff(pixels)
    del pixels
    statuses: list[int] = []
    with serving(MODELS, folder, request_timeout=300, **SERVICE) as server:
        pid = server.process.pid
        httpx.post(f"{server.url}/enhance", content=encoded(dark_scene()), timeout=60).raise_for_status()
        before = resident_mib(pid)
        reserved = int(Path(f"/proc/{pid}/status").read_text().partition("VmData:")[2].split()[0]) << 10
        limit = round(reserved + documented_bytes() - 0.5e9)
        resource.prlimit(pid, resource.RLIMIT_DATA, (limit, limit))
        reset_peak(pid)

        def send() -> None:
            statuses.append(httpx.post(f"{server.url}/enhance", content=file, timeout=300).status_code)

        threads = [threading.Thread(target=send) for _ in range(AT_ONCE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        peak = peak_mib(pid)
        verdict.line(
            f"{AT_ONCE} pictures of 64 megapixels, 16 bits, alpha", str(statuses), "all 200", set(statuses) == {200}
        )
        most = documented_bytes() / 2**20
        verdict.line("memory at its peak", f"{peak:.0f} MiB", f"{most:.0f} at most", peak <= most)
        time.sleep(SETTLE_SECONDS)
        after = resident_mib(pid)
        verdict.line(
            "a minute later, and before", f"{after:.0f}, {before:.0f} MiB", "within 10 %", after <= 1.1 * before
        )


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sum-only", action="store_true")
    chosen = parser.parse_args()
    verdict = Verdict()
    verdict.head()
    with tempfile.TemporaryDirectory() as name:
        if not chosen.sum_only:
            check_kinds(Path(name), verdict)
        check_sum(Path(name), verdict)
    return int(verdict.failed)


if __name__ == "__main__":
    sys.exit(main())
