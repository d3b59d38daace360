"""Signing in: a key becomes a cookie, which the browser sends with every later request of the page.

The cookie holds the key itself. So a revoked key ends at once what it opened, several processes need no common memory, and
nobody has to clear old sign-ins. Scripts cannot read the cookie, and other sites cannot make the browser send it.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import BaseModel, Field

from chatstore_cli.server.entrance.callers import KEY_COOKIE
from chatstore_cli.server.errors.error_bodies import Refusal
from chatstore_cli.server.page.shell import draw, view_of_this_server
from chatstore_cli.server.requests import Served

router = APIRouter(include_in_schema=False)

_SECONDS = 12 * 60 * 60


class PresentedKey(BaseModel):
    """The key of somebody who signs in."""

    key: Annotated[str, Field(min_length=1, max_length=500)]


@router.get("/page/sign-in")
async def form(request: Request, following: Annotated[str, Query(alias="next")] = "") -> HTMLResponse:
    """The form. `next` is the view that follows; only views of this server are accepted."""
    return draw(request, "sign_in.html", next=view_of_this_server(following))


@router.post("/page/sign-in")
async def sign_in(request: Request, presented: PresentedKey, services: Served) -> Response:
    """Exchange a key for the cookie. Raises Refusal for a key that is not valid."""
    if services.keys.access(presented.key) is None:
        raise Refusal(HTTPStatus.UNAUTHORIZED, "The key is not valid.", kind="bad_key")
    answer = JSONResponse({"signed_in": True})
    is_encrypted = request.url.scheme == "https"
    answer.set_cookie(
        KEY_COOKIE, presented.key, max_age=_SECONDS, path="/", secure=is_encrypted, httponly=True, samesite="strict"
    )
    return answer


@router.post("/page/sign-out")
async def sign_out() -> Response:
    """Make the browser forget the cookie."""
    answer = JSONResponse({"signed_in": False})
    answer.delete_cookie(KEY_COOKIE, path="/", httponly=True, samesite="strict")
    return answer
