"""The web page at `/`, and `/docs` with every asset served from here: nothing is fetched from elsewhere."""

from __future__ import annotations

from pathlib import Path

import fastapi_offline
from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse
from fastapi.staticfiles import StaticFiles

import service.page

DOCS_ASSETS = Path(fastapi_offline.__file__).parent / "static"


def install_pages(app: FastAPI) -> None:
    """Add `/`, `/static`, `/docs`, `/redoc` and their assets."""
    app.mount("/static", StaticFiles(directory=service.page.STATIC), name="page")
    app.mount("/docs-assets", StaticFiles(directory=DOCS_ASSETS), name="docs")

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(service.page.STATIC / "index.html", headers={"Cache-Control": "no-cache"})

    @app.get("/docs", include_in_schema=False)
    async def swagger(request: Request) -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url=str(app.openapi_url),
            title=f"{app.title} API",
            swagger_js_url="/docs-assets/swagger-ui-bundle.js",
            swagger_css_url="/docs-assets/swagger-ui.css",
            swagger_favicon_url="/static/favicon.svg",
        )

    @app.get("/redoc", include_in_schema=False)
    async def redoc(request: Request) -> HTMLResponse:
        return get_redoc_html(
            openapi_url=str(app.openapi_url),
            title=f"{app.title} API",
            redoc_js_url="/docs-assets/redoc.standalone.js",
            redoc_favicon_url="/static/favicon.svg",
            with_google_fonts=False,
        )
