"""Errors that a browser shows: a view in words, and the way to sign in if a key is missing."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import quote

from fastapi import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Scope

from chatstore_cli.server.errors.error_bodies import FORMS, Refusal
from chatstore_cli.server.page.shell import draw

PREFIX = "/page/"
PATHS_OF_PROGRAMS = frozenset({*FORMS, "store", "docs", "openapi.json", "health", "healthz", "readyz", "metrics", ""})
"""First parts of the paths whose errors have the form of their family, also in a browser."""

NO_SUCH_VIEW = Refusal(HTTPStatus.NOT_FOUND, "There is no such page.", hint="Check the address.")

_NO_SUCH_SESSION = (
    "It may have been deleted, or its id in the address is not complete. Search finds sessions by their words."
)


def view_of(scope: Scope, refusal: Refusal) -> Response | None:
    """The view that reports a refusal; None if a program or a script of the page sent the request.

    A mistyped address gets such a view too, also without a key: a path that does not exist reveals nothing.
    """
    if scope["type"] != "http" or scope["method"] != "GET":
        return None
    if scope["path"].strip("/").partition("/")[0] in PATHS_OF_PROGRAMS:
        return None
    request = Request(scope)
    if "text/html" not in request.headers.get("accept", ""):
        return None
    if refusal.status == HTTPStatus.UNAUTHORIZED:
        if not scope["path"].startswith(PREFIX):
            return view_of(scope, NO_SUCH_VIEW)
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/page/sign-in?next={quote(here, safe='')}", HTTPStatus.SEE_OTHER)
    hint = refusal.hint
    if refusal.status == HTTPStatus.NOT_FOUND and (hint is None or "chatstore " in hint):  # which is a command
        hint = _NO_SUCH_SESSION
    view = draw(request, "refused.html", refusal.status, message=refusal.message, hint=hint)
    view.headers.update(dict(refusal.headers))
    return view
