"""The page without a connection: the service worker caches the page's own files, and nothing else."""

from __future__ import annotations

import json
import mimetypes
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx
import pytest
from playwright.sync_api import Browser, expect

import service.page
from tests.end_to_end.page.conftest import DESKTOP, TIMEOUT, wait_ready
from tests.end_to_end.page.visitor import Visitor, difference
from tests.pictures import dark_scene, encoded
from tests.servers import Server

PNG = encoded(dark_scene("coffee", (120, 180)))
CACHED = """async () => {
  const urls = [];
  for (const name of await caches.keys()) {
    for (const request of await (await caches.open(name)).keys()) urls.push(new URL(request.url).pathname);
  }
  return urls;
}"""


def test_what_is_loaded_can_be_used_without_a_connection(browser: Browser, site: Server) -> None:
    context = browser.new_context(viewport=DESKTOP, reduced_motion="reduce")
    context.set_default_timeout(TIMEOUT)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(site.url)
    wait_ready(page)
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    visitor = Visitor(page, site.url)
    visitor.add(("one.png", PNG))
    visitor.set(strength=60)
    page.reload()  # so that all requests of the page pass through the service worker
    wait_ready(page)
    visitor.wait()
    context.set_offline(True)
    page.reload()
    wait_ready(page)
    expect(page.locator("#offline")).to_be_visible()
    visitor.wait()
    visitor.set(strength=80)
    visitor.divide(0)
    seen = visitor.seen(120, 180)
    context.set_offline(False)
    expect(page.locator("#offline")).to_be_hidden()
    assert difference(seen, visitor.service(PNG, strength=0.8)) <= 2
    kept = page.evaluate(CACHED)
    assert "/static/scripts/app.js" in kept
    assert not [path for path in kept if not re.fullmatch(r"/|/models\.html|/static/[\w./-]+", path)]
    assert complaints == []
    context.close()


class BrokenProxy(BaseHTTPRequestHandler):
    """Answers with the files of the page, or if `is_broken` as a proxy does whose server is restarting."""

    is_broken = False

    def do_GET(self) -> None:
        path = service.page.STATIC / (self.path.removeprefix("/").removeprefix("static/") or "index.html")
        is_found = path.is_file() and not self.is_broken
        self.send_response(502 if self.is_broken else 200 if is_found else 404)
        self.send_header("Content-Type", mimetypes.guess_type(path.name)[0] or "text/plain")
        self.end_headers()
        if is_found:
            self.wfile.write(path.read_bytes())

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_the_page_opens_while_a_proxy_has_no_server(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    context = browser.new_context(viewport=DESKTOP)
    context.set_default_timeout(TIMEOUT)
    with ThreadingHTTPServer(("127.0.0.1", 0), BrokenProxy) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        monkeypatch.setattr(BrokenProxy, "is_broken", True)
        page.reload()
        expect(page.locator(".promise")).to_be_visible()
        context.close()
        server.shutdown()


def test_the_worker_keeps_all_files_of_the_page_and_no_other(site: Server) -> None:
    worker = httpx.get(f"{site.url}/service-worker.js")
    assert worker.headers["content-type"].startswith("text/javascript")
    listed = {f"{name}.js" for name in re.findall(r'^ {4}"(\w+)",$', worker.text, re.MULTILINE)}
    scripts = {path.name for path in (service.page.STATIC / "scripts").iterdir()}
    assert listed == scripts - {"docs.js"}
    sheets = {path.name for path in service.page.STATIC.glob("*.css")}
    assert set(re.findall(r'"static/([\w.]+\.css)"', worker.text)) == sheets - {"docs.css"}
    for name in (path.name for path in (service.page.STATIC / "samples").iterdir() if path.suffix != ".md"):
        assert name in worker.text
    manifest = json.loads((service.page.STATIC / "manifest.json").read_text(encoding="utf-8"))
    for icon in manifest["icons"]:
        assert httpx.get(f"{site.url}/static/{icon['src']}").status_code == 200
    policy = httpx.get(site.url).headers["content-security-policy"]
    assert "worker-src 'self'" in policy
    assert "manifest-src 'self'" in policy
