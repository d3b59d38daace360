"""Draws the templates: what every view shares, and the headers that keep a view harmless.

Templates escape every value. The policy of a view allows nothing from other hosts and no inline script or style, so text
of a stored message can neither run nor load anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from chatstore_cli import __version__
from chatstore_cli.server.entrance.callers import KEY_COOKIE
from chatstore_cli.server.page import markdown, words

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Of every view. `no-store`: views show conversations, which a shared browser must not keep."""

VIEWS = (
    ("/page/sessions", "Sessions"),
    ("/page/search", "Search"),
    ("/page/usage", "Usage"),
    ("/page/agents", "Agents"),
    ("/page/storage", "Storage"),
)
"""The views of the navigation: path and title."""


def draw(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """A view. `values` are those of the template."""
    shared = {
        "path": request.url.path,
        "views": VIEWS,
        "signed_in": KEY_COOKIE in request.cookies,
        "version": __version__,
        "link": _Links(request),
    }
    html = _environment().get_template(template).render(**shared, status=status, **values)
    return HTMLResponse(html, status, dict(HEADERS))


class _Links:
    """Makes the links of a view: the filters of the view stay in the address."""

    def __init__(self, request: Request) -> None:
        self._path = request.url.path
        self._query = dict(request.query_params)

    def here(self, **changed: Any) -> str:
        """This view with other values in its address. None removes a value."""
        return self.to(self._path, **{**self._query, **changed})

    @staticmethod
    def to(path: str, **query: Any) -> str:
        """A view with values in its address."""
        known = {name: value for name, value in query.items() if value not in (None, "")}
        return f"{path}?{urlencode(known)}" if known else path


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("chatstore_cli.server.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": words.number,
        "ago": words.ago,
        "exact": words.exact,
        "query": lambda values: urlencode({name: value for name, value in values.items() if value is not None}),
        "markdown": lambda text: Markup(markdown.to_html(text)),
    }
    return environment
