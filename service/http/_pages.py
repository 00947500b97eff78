"""The web pages and `/docs`, with all their assets; nothing is loaded from elsewhere."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import fastapi_offline
from fastapi import FastAPI
from fastapi.responses import FileResponse, HTMLResponse
from fastapi.staticfiles import StaticFiles
from starlette.responses import Response

import service.page

DOCS_ASSETS = Path(fastapi_offline.__file__).parent / "static"

REVALIDATE = "no-cache"
"""Browsers may cache files but must revalidate them, so a new version of the service is visible at once."""


class Files(StaticFiles):
    """Files that browsers revalidate, and download again only if they have changed."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """See StaticFiles."""
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = REVALIDATE
        return response


PAGES = {
    "/": "index.html",
    "/docs": "docs.html",
    "/models.html": "models.html",
    # A service worker controls only paths beside and below its own.
    "/service-worker.js": "service-worker.js",
}
"""Path -> file of the page's folder, beside those below `/static`."""


def install_pages(app: FastAPI) -> None:
    """Add `PAGES`, `/static`, and the assets of `/docs`."""
    app.mount("/static", Files(directory=service.page.STATIC), name="page")
    app.mount("/docs-assets", Files(directory=DOCS_ASSETS), name="docs")
    for path, name in PAGES.items():
        app.add_api_route(path, partial(_file, name), include_in_schema=False)


def not_found_page(path: str) -> Response:
    """The 404 page for browsers, with links to the existing pages."""
    # Relative, since a proxy may have stripped a prefix.
    root = "../" * (path.count("/") - 1) or "./"
    text = (service.page.STATIC / "not_found.html").read_text(encoding="utf-8")
    return HTMLResponse(text.replace("{root}", root), HTTPStatus.NOT_FOUND)


async def _file(name: str) -> FileResponse:
    return FileResponse(service.page.STATIC / name, headers={"Cache-Control": REVALIDATE})
