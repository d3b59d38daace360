"""The ASGI application: the routes of all families behind one gate."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from chatstore_cli import __version__
from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.server.entrance.callers import BrowserRules
from chatstore_cli.server.entrance.gate import Gate, logged_refusal_of
from chatstore_cli.server.entrance.limits import RequestRate
from chatstore_cli.server.errors.error_bodies import Form, Refusal, answer_to, form_of, unexpected
from chatstore_cli.server.errors.invalid_requests import answer_to_invalid
from chatstore_cli.server.metrics import Metrics
from chatstore_cli.server.openapi import openapi_of
from chatstore_cli.server.page import (
    copying,
    deletion,
    reference,
    refusals,
    session,
    sign_in,
    storage,
    time_zone,
    usage,
    views,
)
from chatstore_cli.server.routes import (
    agents,
    agents_v1,
    calls,
    chat,
    events,
    numbers,
    platform,
    platform_input,
    shared,
    store,
    store_reports,
    store_search,
)
from chatstore_cli.server.services import Services
from chatstore_cli.server.sockets import chat as chat_socket
from chatstore_cli.server.sockets import platform as platform_socket

ROUTERS = (
    shared.router,
    chat.router,
    chat_socket.router,
    platform_socket.router,
    platform.router,
    platform_input.router,
    agents.router,
    agents_v1.router,
    numbers.router,
    calls.router,
    store.router,
    store_search.router,
    store_reports.router,
    events.router,
    sign_in.router,
    views.router,
    usage.router,
    session.router,
    copying.router,
    deletion.router,
    storage.router,
    time_zone.router,
    reference.router,
)

_MESSAGES = {"There was an error parsing the body": "The body cannot be read: it has too many levels or digits."}
"""What we say instead of the framework. It reports text that is not JSON at all in another way."""


def create_app(services: Services) -> ASGIApp:
    """The application over these services, which it starts and stops."""
    app = FastAPI(
        title="chatstore",
        version=__version__,
        summary="The stored conversations of a chat product.",
        lifespan=_lifespan,
        docs_url=None,  # the framework's page loads scripts from another host: see page/reference.py
        redoc_url=None,
    )
    app.state.services = services
    app.state.metrics = metrics = Metrics(services)
    for router in ROUTERS:
        app.include_router(router)
    app.openapi = openapi_of(app)  # type: ignore[method-assign]  # the framework's own way to extend the document
    app.mount("/page/static", StaticFiles(packages=[("chatstore_cli.server.page", "static")]))
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(ChatstoreError, _failed)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)
    server = services.settings.chatstore.server
    origins = names_of(server.cors_origins)
    gate = Gate(
        app,
        rules=BrowserRules.of([*names_of(server.allowed_hosts), server.host], origins),
        keys=services.keys,
        body_bytes=server.body_bytes,
        rate=RequestRate(server.requests_per_minute),
        sockets=services.sockets,
        observe=metrics.observe,
    )
    # Outside the gate: a browser must be able to read refusals too.
    return CORSMiddleware(
        gate,
        allow_origins=origins,
        allow_methods=["GET", "POST", "PUT", "DELETE"],
        allow_headers=["authorization", "content-type", "x-api-key"],
        expose_headers=["retry-after"],
    )


def names_of(text: str) -> list[str]:
    """The names of a setting that is a list with commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    services: Services = app.state.services
    await services.start()
    try:
        yield
    finally:
        await services.stop()


async def _unexpected(request: Request, error: Exception) -> Response:
    """An error that nobody expected. The framework raises it again, and the gate logs it."""
    return _answer(request, unexpected())


def _answer(request: Request, refusal: Refusal) -> Response:
    if (view := refusals.view_of(request.scope, refusal)) is not None:
        return view
    answer = answer_to(request.scope["path"], refusal)
    return JSONResponse(answer.body, answer.status, dict(answer.headers))


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return _answer(request, error)


async def _failed(request: Request, error: Exception) -> Response:
    assert isinstance(error, ChatstoreError)
    return _answer(request, logged_refusal_of(error))


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    names = ", ".join(sorted({str(each["loc"][-1]) for each in error.errors()}))
    invalid = Refusal(
        HTTPStatus.BAD_REQUEST, f"The address has a value that is not valid: {names}.", hint="Change it, or go back."
    )
    if (view := refusals.view_of(request.scope, invalid)) is not None:
        return view
    answer = answer_to_invalid(request.scope["path"], error.errors())
    return JSONResponse(answer.body, answer.status, dict(answer.headers))


async def _http_error(request: Request, error: Exception) -> Response:
    """What the framework refuses: an unknown path or method."""
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, Refusal):  # raised while the framework read the body
        return _answer(request, error.__cause__)
    is_unknown = error.status_code == HTTPStatus.NOT_FOUND and form_of(request.scope["path"]) is Form.ERROR_TEXT
    message = "Not found" if is_unknown else _MESSAGES.get(str(error.detail), str(error.detail))
    refusal = Refusal(error.status_code, message, headers=error.headers)
    shown = refusals.NO_SUCH_VIEW if error.status_code == HTTPStatus.NOT_FOUND else refusal
    if (view := refusals.view_of(request.scope, shown)) is not None:
        return view
    answer = answer_to(request.scope["path"], refusal)
    if is_unknown:
        answer.body["path"] = request.scope["path"]
    return JSONResponse(answer.body, answer.status, dict(answer.headers))
