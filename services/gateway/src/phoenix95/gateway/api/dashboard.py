"""`GET /`: the dashboard and its files. They hold no figures, so all may have them; `/api/events` is guarded."""

import html
from hashlib import blake2b
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, Final

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import File

from phoenix95.gateway.api.parts import Parts
from phoenix95.gateway.api.problems import Problem

PLOTLY: Final = "plotly.min.js"
PLOTLY_FILE: Final = "plotly/package_data/plotly.min.js"  # inside the installed package, whose code is never imported
_SCRIPT: Final = "text/javascript"
_HTML: Final = "text/html"
KINDS: Final = {".js": _SCRIPT, ".css": "text/css", ".svg": "image/svg+xml"}

# The hash is that of nothing: Plotly makes an empty style element and fills it by script, which is no inline style.
_EMPTY_STYLE: Final = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
POLICY: Final = (
    f"default-src 'none'; script-src 'self'; style-src 'self' {_EMPTY_STYLE}; img-src 'self' data:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
MODES: Final = {
    "paper": ("PAPER", "simulated exchange, no real money"),
    "demo": ("DEMO", "the exchange's demo trading, no real money"),
    "live": ("LIVE", "real orders, real money"),
}


@get("/", media_type=_HTML, include_in_schema=False)
async def page(parts: NamedDependency[Parts]) -> Response[str]:
    """The page, with what runs here already in it; the figures come by `/api/events`."""
    mode = parts.settings.mode
    badge, meaning = MODES.get(mode, (mode.upper(), "as configured"))
    told = {"mode": mode, "badge": badge, "meaning": meaning, "version": parts.version}
    template = Template(_ours("page.html").read_text(encoding="utf-8"))
    text = template.substitute({name: html.escape(value, quote=True) for name, value in told.items()})
    return Response(text, media_type=_HTML, headers=HEADERS)


@get("/static/{name:str}", include_in_schema=False)
async def static(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[Any]:
    """One of the page's files. 404 for everything that is none."""
    if name == PLOTLY:
        headers = {**HEADERS, "Cache-Control": "max-age=86400"}  # five megabytes: not at every look
        return File(_plotly(), media_type=_SCRIPT, headers=headers, content_disposition_type="inline")
    kind = KINDS.get(Path(name).suffix)
    if kind is None or "/" in name or not (found := _ours(name)).is_file():
        raise Problem(HTTPStatus.NOT_FOUND, "no such file")
    body = found.read_bytes()
    tag = f'"{blake2b(body, digest_size=8).hexdigest()}"'
    headers = {**HEADERS, "ETag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(b"", status_code=HTTPStatus.NOT_MODIFIED, media_type=kind, headers=headers)
    return Response(body, media_type=kind, headers=headers)


ROUTES: Final = (page, static)


def _ours(name: str) -> Path:
    return Path(str(files("phoenix95.gateway") / "dashboard" / name))


def _plotly() -> Path:
    """Where Plotly's own script lies. Raises Problem 404 when the package is not installed."""
    try:
        return Path(str(distribution("plotly").locate_file(PLOTLY_FILE)))
    except PackageNotFoundError as error:
        raise Problem(HTTPStatus.NOT_FOUND, "the package plotly is not installed: no charts") from error
