"""The page at ``/docs``. Its script and style come with a package: FastAPI's own would be fetched from a CDN."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import fastapi_swagger
from fastapi import FastAPI, HTTPException
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse

_ASSETS = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css", "favicon-32x32.png": "image/png"}


def add_docs(app: FastAPI) -> None:
    """``/docs`` and the files that it shows itself with. All addresses are relative: a proxy may add a prefix."""
    directory = Path(str(files(fastapi_swagger) / "resources"))
    script, style, icon = (f"swagger/{name}" for name in _ASSETS)

    @app.get("/docs", include_in_schema=False)
    async def page() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title=app.title,
            swagger_js_url=script,
            swagger_css_url=style,
            swagger_favicon_url=icon,
        )

    @app.get("/swagger/{name}", include_in_schema=False)
    async def asset(name: str) -> FileResponse:
        if name not in _ASSETS:
            raise HTTPException(404)
        return FileResponse(directory / name, media_type=_ASSETS[name])
