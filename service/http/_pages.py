"""The web page at `/`, and `/docs` with every asset served from here: nothing is fetched from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fastapi_offline
from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.responses import Response

import service.page

DOCS_ASSETS = Path(fastapi_offline.__file__).parent / "static"

REVALIDATE = "no-cache"
"""Browsers may keep a file, and ask whether it is still the same: a new version of the service is seen at once."""


class Files(StaticFiles):
    """Files that browsers ask for again, and get again only if they have changed."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """See StaticFiles."""
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = REVALIDATE
        return response


def install_pages(app: FastAPI) -> None:
    """Add `/`, `/static`, `/docs` and its assets."""
    app.mount("/static", Files(directory=service.page.STATIC), name="page")
    app.mount("/docs-assets", Files(directory=DOCS_ASSETS), name="docs")

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(service.page.STATIC / "index.html", headers={"Cache-Control": REVALIDATE})

    @app.get("/docs", include_in_schema=False)
    async def docs() -> FileResponse:
        return FileResponse(service.page.STATIC / "docs.html", headers={"Cache-Control": REVALIDATE})
