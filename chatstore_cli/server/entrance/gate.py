"""The gate in front of all routes: it lets a request or a socket in, or answers it in the form of its path.

It is plain ASGI instead of a middleware of the framework, because sockets pass it too and streams must not be buffered.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatstore_cli.core.api_keys.keys import ApiKeys
from chatstore_cli.domain.api_keys import Access, Right
from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.server.entrance.callers import STATIC, BrowserRules, access_of, check_content_type, require_right
from chatstore_cli.server.entrance.limits import OpenSockets, RequestRate, bounded_body, bounded_send
from chatstore_cli.server.errors.error_bodies import Refusal, answer_to, refusal_of, unexpected
from chatstore_cli.server.page.refusals import view_of

_LOG = logging.getLogger("chatstore.server")
_ACCESS_LOG = logging.getLogger("chatstore.server.access")

POLICY_VIOLATION = 1008
TRY_AGAIN_LATER = 1013


class Gate:
    """Checks each request: Host, Origin, content type, key, rate and size. Then it logs it, without its texts.

    `scope["state"]["access"]` then has what the caller may do, for the routes.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        rules: BrowserRules,
        keys: ApiKeys,
        body_bytes: int,
        rate: RequestRate,
        sockets: OpenSockets,
        observe: Callable[[Scope, int, float], None],
    ) -> None:
        self._app, self._rules, self._keys, self._body_bytes = app, rules, keys, body_bytes
        self._rate, self._sockets, self._observe = rate, sockets, observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        status, is_complete = 0, False
        send = bounded_send(send)

        async def send_noting(message: Message) -> None:
            nonlocal status, is_complete
            if message["type"] == "http.response.start":
                status = message["status"]
                _protect(scope, MutableHeaders(scope=message))
            is_complete = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        try:
            headers = Headers(scope=scope)
            self._admit(scope, headers)
            receive = bounded_body(receive, headers, self._body_bytes)
            await self._app(scope, receive, send_noting)
        except asyncio.CancelledError:  # the server is stopping, and waits for this answer no longer
            if not status:
                message = "The server is stopping."
                refusal = Refusal(
                    HTTPStatus.SERVICE_UNAVAILABLE, message, kind="stopping", headers={"Retry-After": "5"}
                )
                await _send_error(scope, receive, send_noting, refusal)
        except Exception as error:
            refusal = _refusal(error)
            if is_complete:  # the framework has answered in the form of the path, and raises for the log
                return
            if status:  # the answer has begun: it can only be cut off
                raise
            await _send_error(scope, receive, send_noting, refusal)
        finally:
            seconds = time.perf_counter() - started
            self._observe(scope, status, seconds)
            _log_access(scope, status, seconds)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        counted = False
        try:
            access = self._admit(scope, Headers(scope=scope))
            require_right(access, Right.WRITE)  # a frame of a client changes what is stored
            self._sockets.add()
            counted = True
        except (Refusal, ChatstoreError) as error:
            refusal = _refusal(error)
            code = TRY_AGAIN_LATER if refusal.status in (429, 503) else POLICY_VIOLATION
            await receive()  # the connection must be taken before it can be closed with a reason
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": code, "reason": _short(refusal.message)})
            _log_access(scope, refusal.status, time.perf_counter() - started)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            if counted:
                self._sockets.remove()
            _log_access(scope, 101, time.perf_counter() - started)

    def _admit(self, scope: Scope, headers: Headers) -> Access:
        self._rules.check(scope, headers)
        check_content_type(scope, headers)
        client = scope.get("client")
        address = client[0] if client else "local"
        try:
            access = access_of(self._keys, scope, headers)
        except Refusal:
            self._rate.check(address)  # attempts to guess a key are limited too
            raise
        scope.setdefault("state", {})["access"] = access
        self._rate.check(access.key_id or address)
        return access


def logged_refusal_of(error: ChatstoreError) -> Refusal:
    """The refusal that reports an error of chatstore. The log has what the answer leaves out."""
    refusal = refusal_of(error)
    if refusal.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _LOG.warning("%s: %s", type(error).__name__, error.as_text())
    return refusal


def _refusal(error: Exception) -> Refusal:
    if isinstance(error, Refusal):
        return error
    if isinstance(error, ChatstoreError):
        return logged_refusal_of(error)
    _LOG.error("An unexpected error.", exc_info=error)
    return unexpected()


async def _send_error(scope: Scope, receive: Receive, send: Send, refusal: Refusal) -> None:
    if (view := view_of(scope, refusal)) is not None:
        await view(scope, receive, send)
        return
    answer = answer_to(scope["path"], refusal)
    body = json.dumps(answer.body, ensure_ascii=False).encode("utf-8", "replace")
    headers = MutableHeaders({**answer.headers, "content-type": "application/json", "content-length": str(len(body))})
    await send({"type": "http.response.start", "status": answer.status, "headers": headers.raw})
    await send({"type": "http.response.body", "body": body})


def _protect(scope: Scope, headers: MutableHeaders) -> None:
    """No browser guesses a type, and nobody keeps an answer: which one is right depends on the key of the caller."""
    headers.setdefault("X-Content-Type-Options", "nosniff")
    if not scope["path"].startswith(STATIC):
        headers.setdefault("Cache-Control", "no-store")


def _log_access(scope: Scope, status: int, seconds: float) -> None:
    # The path has ids and the query may have a search text, so the log has the route's pattern instead.
    access = scope.get("state", {}).get("access")
    key_id = getattr(access, "key_id", None) or "-"
    method = scope.get("method", "WEBSOCKET")
    _ACCESS_LOG.info("%s %s %d %.1f ms key %s", method, route_of(scope), status, seconds * 1000, key_id)


def route_of(scope: Scope) -> str:
    """The pattern of the route that answered, such as `/store/sessions/{session_id}`; `(none)` without one."""
    return str(getattr(scope.get("route"), "path_format", None) or "(none)")


def _short(text: str) -> str:
    """The reason of a close frame has at most 123 bytes."""
    return text.encode()[:123].decode(errors="ignore")
