"""A simulated user of the page, for tests."""

from __future__ import annotations

import base64

import httpx
import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Page, Request, expect

from tests.pictures import decoded

READ_CANVAS = """async () => {
  // The drawing buffer of WebGL can only be read in the frame in which it was painted.
  document.querySelector("#position").dispatchEvent(new Event("input"));
  await new Promise(requestAnimationFrame);
  const canvas = document.querySelector("#canvas");
  const context = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
  context.drawImage(canvas, 0, 0);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  let text = "";
  for (let i = 0; i < data.length; i += 8192) text += String.fromCharCode(...data.subarray(i, i + 8192));
  return [canvas.width, canvas.height, btoa(text)];
}"""

SEND_FILES = """([kind, files]) => {
  const data = new DataTransfer();
  for (const [name, type, content] of files) {
    const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
    data.items.add(new File([bytes], name, { type }));
  }
  const options = { bubbles: true, cancelable: true, dataTransfer: data, clipboardData: data };
  const event = kind === "paste" ? new ClipboardEvent(kind, options) : new DragEvent(kind, options);
  document.body.dispatchEvent(event);
}"""


class Visitor:
    """A user of the page; `requests` are those to /enhance."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.requests: list[Request] = []
        page.on("request", lambda request: "/enhance" in request.url and self.requests.append(request))

    def add(self, *files: tuple[str, bytes], more: bool = False) -> None:
        """Choose files, (name, bytes), and wait for the first. `more`: use the button Add of the filmstrip."""
        payloads = [{"name": name, "mimeType": "", "buffer": data} for name, data in files]
        self.page.locator("#more" if more else "#file").set_input_files(payloads)
        self.wait()

    def send(self, kind: str, *files: tuple[str, bytes]) -> None:
        """`drop` or `paste` files, (name, bytes), and wait for the first."""
        contents = [(name, "", base64.b64encode(data).decode()) for name, data in files]
        self.page.evaluate(SEND_FILES, [kind, contents])
        self.wait()

    def wait(self) -> None:
        """Wait until the photo has been enhanced, or an error is shown."""
        expect(self.page.locator("#stage")).to_have_attribute("aria-busy", "false")

    def wait_all(self) -> None:
        """Wait until no photo is waiting or being enhanced."""
        for state in ("waiting", "working"):
            expect(self.page.locator(f"#film [data-state={state}]")).to_have_count(0)
        self.wait()

    def open(self, *summaries: str) -> None:
        """Open sections of the panel by their titles; all if none are given."""
        for summary in summaries or ("More settings", "File format", "Technical details"):
            details = self.page.locator("details", has=self.page.locator("summary", has_text=summary))
            if details.get_attribute("open") is None:
                details.locator("summary").click()

    def set(self, **controls: float | str | bool) -> None:
        """Set controls by name: sliders to positions, lists to values, checkboxes to on or off."""
        if {"gamma", "gate", "detail"} & controls.keys():
            self.open("More settings")
        if {"format", "quality"} & controls.keys():
            self.open("File format")
        for name, value in controls.items():
            control = self.page.locator(f"[name={name}]")
            if isinstance(value, bool):
                control.set_checked(value)
            elif isinstance(value, str):
                control.select_option(value)
            else:
                control.fill(str(value))

    def divide(self, percent: float) -> None:
        """Move the divider: at 0 the whole photo is enhanced, at 100 it is the original."""
        self.page.locator("#position").fill(str(percent))

    def seen(self, height: int, width: int) -> NDArray[np.uint8]:
        """The photo's pixels on the screen at actual size, uint8 [height, width, 3]: the middle of the canvas."""
        self.page.locator("#actual").click()
        canvas = self.canvas()
        rows, columns = canvas.shape[:2]
        top, left = round((rows - height) / 2 + 1e-9), round((columns - width) / 2 + 1e-9)
        inside = canvas[top : top + height, left : left + width]
        assert inside.shape[:2] == (height, width), f"the canvas has only {columns} x {rows} dots"
        assert (inside[..., 3] == 255).all()
        return inside[..., :3]

    def canvas(self) -> NDArray[np.uint8]:
        """All pixels of the canvas, uint8 [H, W, 4]."""
        columns, rows, data = self.page.evaluate(READ_CANVAS)
        return np.frombuffer(base64.b64decode(data), np.uint8).reshape(rows, columns, 4)

    def service(self, data: bytes, **options: object) -> NDArray[np.uint8]:
        """The service's answer to a direct request, decoded: uint8 [H, W, 3]."""
        return decoded(self.answer(data, format="png", **options))

    def answer(self, data: bytes, **options: object) -> bytes:
        """The service's answer to a direct request, as a file."""
        response = httpx.post(f"{self.url}/enhance", params=options, content=data, timeout=60)
        assert response.status_code == 200, response.text
        return response.content

    @property
    def zoom(self) -> int:
        """The zoom that the page shows, in percent."""
        return int(self.page.locator("#zoom").inner_text().removesuffix("%"))


def difference(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> int:
    """The largest absolute difference of code values of two pictures of the same shape."""
    assert a.shape == b.shape
    return int(np.abs(a.astype(int) - b).max())
