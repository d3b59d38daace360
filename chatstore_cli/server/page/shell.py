"""Draws the templates: what every view shares, and the headers that keep a view harmless.

Templates escape every value. The policy of a view allows nothing from other hosts and no inline script or style, so text
of a stored message can neither run nor load anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import cache
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, Query, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from chatstore_cli import __version__
from chatstore_cli.config.time_zones import time_zone
from chatstore_cli.domain.api_keys import Access
from chatstore_cli.render.rows.sessions import status_in_words
from chatstore_cli.server.entrance.callers import KEY_COOKIE
from chatstore_cli.server.page import markdown, words
from chatstore_cli.server.requests import Served
from chatstore_cli.server.routes.store_query import zone_of
from chatstore_cli.server.services import Services

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Of every view. `no-store`: views show conversations, which a shared browser must not keep."""

_VIEWS = (
    ("/page/sessions", "Sessions"),
    ("/page/search", "Search"),
    ("/page/usage", "Usage"),
    ("/page/agents", "Agents"),
)
"""The views of the navigation: path and title."""

_OF_ALL_TENANTS = (("/page/storage", "Storage"),)
"""Views that a key with tenants cannot open."""


HOME = "/page/sessions"
_VIEW = re.compile(r"/page/(?!sign-)[a-z/-]+(\?.*)?")
"""A view of this server. Browsers would resolve dots and backslashes of a path, so it has none."""

ZONE = "timezone"
"""The parameter with the time zone, which every link of a view keeps. `/store` has the same parameter."""


@dataclass(frozen=True, slots=True)
class View:
    """What every view shares: its request, and the time zone that it shows times in and counts days in."""

    request: Request
    services: Services
    zone: tzinfo
    zone_name: str | None
    """As it is in the address; None for that of the settings."""

    async def draw(
        self, template: str, values: Callable[[], Mapping[str, Any]], status: int = HTTPStatus.OK
    ) -> HTMLResponse:
        """The view. The values of the template are made, and drawn, in a thread: the event loop stays free."""
        return await self.services.drawing.run(lambda: draw(self.request, template, status, zone=self.zone, **values()))


async def _view_of(
    request: Request,
    services: Served,
    timezone: Annotated[str, Query(max_length=100)] = "",
) -> View:
    return View(request, services, zone_of(services, timezone), timezone or None)


RequestedView = Annotated[View, Depends(_view_of)]


def draw(
    request: Request, template: str, status: int = HTTPStatus.OK, *, zone: tzinfo | None = None, **values: Any
) -> HTMLResponse:
    """A view. `values` are those of the template. Without a zone it has no times: a view that reports an error."""
    link = Links(request)
    shared = {
        "path": request.url.path,
        "views": _views_for(request.scope.get("state", {}).get("access")),
        "signed_in": KEY_COOKIE in request.cookies,
        "version": __version__,
        "link": link,
        "zone": None if zone is None else str(zone),
        "times": words.Times(UTC if zone is None else zone),
    }
    html = _environment().get_template(template).render(**shared, status=status, **values)
    return HTMLResponse(html, status, dict(HEADERS))


def _views_for(access: Access | None) -> tuple[tuple[str, str], ...]:
    """The views that a caller may open; for an unknown caller, those that every key may open."""
    sees_all = access is not None and access.tenants is None
    return _VIEWS + _OF_ALL_TENANTS if sees_all else _VIEWS


def view_of_this_server(address: str) -> str:
    """An address that a request names as the view to show next; HOME if it is not a view of this server."""
    return address if _VIEW.fullmatch(address) else HOME


class Links:
    """Makes the links of a view: its filters stay in its address, and the chosen time zone in every address."""

    def __init__(self, request: Request) -> None:
        self._path = request.url.path
        self._query = dict(request.query_params)
        self.zone_name = self._query.pop(ZONE, "")
        self.drops_zone = self.zone_name != "" and not _is_zone(self.zone_name)
        if self.drops_zone:  # the view reports the error, and its links do not repeat it
            self.zone_name = ""

    def here(self, **changed: Any) -> str:
        """This view with other values in its address. None removes a value."""
        return self.to(self._path, **{**self._query, **changed})

    @property
    def is_page_of_list(self) -> bool:
        """Whether the address names a page of a list that is not the first one."""
        return not self._query.keys().isdisjoint(("cursor", "trail"))

    def to(self, path: str, **query: Any) -> str:
        """A view with values in its address."""
        values = {**query, ZONE: self.zone_name}
        known = {name: value for name, value in values.items() if value not in (None, "")}
        return f"{path}?{urlencode(known)}" if known else path


def _is_zone(name: str) -> bool:
    try:
        return len(name) <= 100 and time_zone(name) is not None
    except ValueError:
        return False


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("chatstore_cli.server.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., Any]] = {
        "number": words.number,
        "or_dash": words.or_dash,
        "status_in_words": status_in_words,
        "markdown": lambda text: Markup(markdown.to_html(text)),
    }
    environment.filters |= filters
    return environment
