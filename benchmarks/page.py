"""The web page on a slow connection: bytes and seconds to the first preview, and how close it is to the final result.

    python -m benchmarks.page photos/*.jpg

Chromium, throttled to 10 Mbit/s down and 3 Mbit/s up, opens the page of a service, adds a photo, and waits until its
preview is painted. The painted pixels are then compared with the finished file, shrunk to the same size.
"""

from __future__ import annotations

import argparse
import base64
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import httpx
import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Browser, Page, Request, ViewportSize, sync_playwright

from benchmarks._servers import nightlift
from benchmarks._tables import table

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = ["--no-sandbox", "--disable-quic", "--force-color-profile=srgb", "--enable-unsafe-swiftshader"]
WINDOW: ViewportSize = {"width": 1440, "height": 900}
DOWN, UP = 10e6 / 8, 3e6 / 8
"""Download and upload speed in bytes per second."""
LATENCY = 30
"""Added latency of each answer in milliseconds."""
LOOK_BLUR = 8.0
"""Standard deviation in pixels of the blur that removes grain but keeps brightness and colour."""

PAINTED = """async () => {
  document.querySelector("#position").value = 0;
  document.querySelector("#position").dispatchEvent(new Event("input"));
  await new Promise(requestAnimationFrame);
  const canvas = document.querySelector("#canvas");
  const copy = new OffscreenCanvas(canvas.width, canvas.height);
  copy.getContext("2d").drawImage(canvas, 0, 0);
  const bytes = new Uint8Array(await (await copy.convertToBlob()).arrayBuffer());
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}"""


@dataclass(frozen=True)
class Line:
    """The result for one photo.

    Attributes:
        name: name of the photo's file.
        megapixels, kilobytes: size of the photo and of its file.
        sent, received: size of the preview's request and answer in kilobytes.
        seconds: from choosing the file to the painted preview.
        difference, look, most: absolute differences of code values (0 to 255) between the painted preview and the
            finished file: the mean over all pixels; the mean and the maximum after both have been blurred.
    """

    name: str
    megapixels: float
    kilobytes: float
    sent: float
    received: float
    seconds: float
    difference: float
    look: float
    most: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark, and print a table in Markdown; returns the exit code, 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    parser.add_argument("photos", nargs="+", type=Path)
    wanted = parser.parse_args(arguments)
    with nightlift(models="nightlift", default_model="nightlift") as port, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        lines = [measure(browser, f"http://127.0.0.1:{port}", path) for path in wanted.photos]
        browser.close()
    columns = ("photo", "MP", "kB", "sent, kB", "received, kB", "seconds", "difference", "of the look", "at most")
    rows = [
        (
            line.name,
            f"{line.megapixels:.1f}",
            f"{line.kilobytes:.0f}",
            f"{line.sent:.0f}",
            f"{line.received:.0f}",
            f"{line.seconds:.1f}",
            f"{line.difference:.1f}",
            f"{line.look:.1f}",
            f"{line.most:.0f}",
        )
        for line in lines
    ]
    print(table(columns, rows))
    return 0


def measure(browser: Browser, url: str, path: Path) -> Line:
    """Measure one photo, in a new browser context."""
    context = browser.new_context(viewport=WINDOW, reduced_motion="reduce", service_workers="block")
    page = context.new_page()
    page.goto(url)
    page.locator("body[data-ready]").wait_for()
    page.locator("select[name=model] option").first.wait_for(state="attached")
    client = context.new_cdp_session(page)
    client.send("Network.enable")
    line = {"offline": False, "latency": LATENCY, "downloadThroughput": DOWN, "uploadThroughput": UP}
    client.send("Network.emulateNetworkConditions", line)
    requests: list[Request] = []

    def note(request: Request) -> None:
        if "/enhance" in request.url:
            requests.append(request)

    page.on("request", note)
    started = time.monotonic()
    page.locator("#file").set_input_files(path)
    page.locator("#message", has_text="Enhanced").wait_for(timeout=120_000)
    page.evaluate("() => new Promise(requestAnimationFrame)")
    seconds = time.monotonic() - started
    (request,) = requests
    painted = _painted(page)
    response = request.response()
    assert response is not None
    sent, received = int(request.all_headers()["content-length"]), len(response.body())
    context.close()
    data = path.read_bytes()
    finished = _decoded(httpx.post(f"{url}/enhance", content=data, timeout=120).content)
    differences = _differences(painted, finished)
    pixels = finished.shape[0] * finished.shape[1]
    sizes = (pixels / 1e6, len(data) / 1000, sent / 1000, received / 1000)
    return Line(path.name, *sizes, seconds, *differences)


def _painted(page: Page) -> NDArray[np.uint8]:
    return _decoded(base64.b64decode(page.evaluate(PAINTED)))


def _decoded(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def _differences(canvas: NDArray[np.uint8], finished: NDArray[np.uint8]) -> tuple[float, float, float]:
    """(difference, look, most), see `Line`. On the canvas, the photo is centred, and as large as fits."""
    height, width = finished.shape[:2]
    rows, columns = canvas.shape[:2]
    scale = min(columns / width, rows / height)
    shape = (int(width * scale), int(height * scale))
    top, left = round((rows - height * scale) / 2), round((columns - width * scale) / 2)
    shown = canvas[top : top + shape[1], left : left + shape[0]].astype(np.float32)
    wanted = cv2.resize(finished, shape, interpolation=cv2.INTER_AREA).astype(np.float32)
    look = np.abs(cv2.GaussianBlur(shown, (0, 0), LOOK_BLUR) - cv2.GaussianBlur(wanted, (0, 0), LOOK_BLUR))
    return float(np.abs(shown - wanted).mean()), float(look.mean()), float(look.max())


if __name__ == "__main__":
    sys.exit(main())
