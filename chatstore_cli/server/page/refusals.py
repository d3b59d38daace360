"""Errors of the page: a view in words, and the way to sign in if a key is missing."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import quote

from fastapi import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Scope

from chatstore_cli.server.errors.error_bodies import Refusal
from chatstore_cli.server.page.shell import draw

PREFIX = "/page/"


def view_of(scope: Scope, refusal: Refusal) -> Response | None:
    """The view that reports a refusal; None for a request that a script of the page, or a program, made."""
    if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
        return None
    request = Request(scope)
    if scope["method"] != "GET" or "text/html" not in request.headers.get("accept", ""):
        return None
    if refusal.status == HTTPStatus.UNAUTHORIZED:
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/page/sign-in?next={quote(here, safe='')}", HTTPStatus.SEE_OTHER)
    view = draw(request, "refused.html", refusal.status, message=refusal.message, hint=refusal.hint)
    view.headers.update(dict(refusal.headers))
    return view
