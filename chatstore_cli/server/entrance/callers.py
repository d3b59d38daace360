"""The caller of a request or socket: its key and its rights, and which requests a browser may send."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import Scope

from chatstore_cli.core.api_keys.keys import ApiKeys
from chatstore_cli.domain.api_keys import EVERYTHING, Access, Right
from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.server.errors.error_bodies import Refusal

_LOG = logging.getLogger("chatstore.server")

OPEN_PATHS = frozenset({"/", "/health", "/healthz", "/readyz", "/docs"})
"""Paths that need no key. `/docs` only leads to a view, which needs one."""

STATIC = "/page/static/"
"""The files of the page, which are the same for everybody."""

_OPEN_PREFIXES = (STATIC, "/page/sign-")
_COOKIE_PREFIXES = ("/page/", "/store/", "/openapi.json")
KEY_COOKIE = "chatstore_key"
"""The cookie that holds the key of a browser that signed in. Only the page and the routes that it uses accept it."""

_CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_UNAUTHORIZED = {"WWW-Authenticate": "Bearer"}


@dataclass(frozen=True, slots=True)
class BrowserRules:
    """Which hosts the server answers for, and which pages may send changing requests and open sockets.

    Any web page can send requests to a server on the same machine, and can make its own name point to this machine. So a
    request with an unknown Host, or with an Origin that is not allowed, is rejected. A request without an Origin does not
    come from a page.
    """

    hosts: frozenset[str]
    origins: frozenset[str]

    @classmethod
    def of(cls, hosts: Iterable[str], origins: Iterable[str]) -> BrowserRules:
        """The rules for these names. The case of a name does not matter."""
        return cls(
            frozenset(_in_url(each.lower()) for each in hosts), frozenset(each.lower().rstrip("/") for each in origins)
        )

    def check(self, scope: Scope, headers: Headers) -> None:
        """Raise Refusal if a browser must not send this request."""
        host = headers.get("host", "")
        if not self._is_known(host):
            hint = "Add the name to chatstore.server.allowed_hosts."
            raise Refusal(HTTPStatus.BAD_REQUEST, "The Host of the request is not allowed.", kind="host", hint=hint)
        origin = headers.get("origin")
        if origin is not None and self._changes(scope) and not self._is_allowed(origin, host):
            hint = "Add the origin to chatstore.server.cors_origins."
            raise Refusal(HTTPStatus.FORBIDDEN, "The Origin of the request is not allowed.", kind="origin", hint=hint)

    def _is_known(self, host: str) -> bool:
        return "*" in self.hosts or _without_port(host.lower()) in self.hosts

    def _is_allowed(self, origin: str, host: str) -> bool:
        origin = origin.lower()
        is_own = host != "" and origin.partition("://")[2] == host.lower()
        return is_own or "*" in self.origins or origin in self.origins

    @staticmethod
    def _changes(scope: Scope) -> bool:
        return scope["type"] == "websocket" or scope["method"] in _CHANGING


def check_content_type(scope: Scope, headers: Headers) -> None:
    """Raise Refusal for a changing request whose body is not JSON: a page can send other types without asking first."""
    if scope["type"] == "websocket" or scope["method"] not in _CHANGING:
        return
    has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if (has_body or kind) and kind != "application/json" and not kind.endswith("+json"):
        raise Refusal(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "The body must be JSON, with Content-Type: application/json.",
            kind="type",
        )


def access_of(keys: ApiKeys, scope: Scope, headers: Headers) -> Access:
    """What the caller may do. Raises Refusal if the server has keys and the request has none of them."""
    if scope["type"] == "http" and (scope["path"] in OPEN_PATHS or scope["path"].startswith(_OPEN_PREFIXES)):
        return Access(Right.READ, frozenset())
    try:
        return _access_with_key(keys, scope, headers) if keys.are_required() else EVERYTHING
    except ChatstoreError as error:  # its text names the file
        _LOG.error("Every request is rejected, because the keys cannot be read. %s", error.as_text())
        message = "The server cannot read its keys. The server's log has the reason."
        raise Refusal(HTTPStatus.SERVICE_UNAVAILABLE, message, kind="keys") from error


def _access_with_key(keys: ApiKeys, scope: Scope, headers: Headers) -> Access:
    presented = _presented_key(scope, headers)
    if presented is None:
        message = "A key is required: Authorization: Bearer KEY, or x-api-key: KEY."
        raise Refusal(HTTPStatus.UNAUTHORIZED, message, kind="no_key", headers=_UNAUTHORIZED)
    access = keys.access(presented)
    if access is None:
        raise Refusal(HTTPStatus.UNAUTHORIZED, "The key is not valid.", kind="bad_key", headers=_UNAUTHORIZED)
    return access


def require_right(access: Access, right: Right) -> None:
    """Raise Refusal if the caller does not have the right."""
    if not access.right.includes(right):
        message = f"The key has the right {access.right}, and this needs {right}."
        raise Refusal(HTTPStatus.FORBIDDEN, message, kind="right")


def _presented_key(scope: Scope, headers: Headers) -> str | None:
    """The key that the request has, in any of its places. Raises Refusal for several different ones.

    If one of several were chosen, a key that a proxy adds and one that its client sends could change places.
    """
    presented = {each.strip() for each in headers.getlist("x-api-key")}
    for each in headers.getlist("authorization"):
        scheme, _, credentials = each.strip().partition(" ")
        if scheme.lower() == "bearer":
            presented.add(credentials.strip())
    if scope["type"] == "websocket":  # a page cannot set headers of a socket
        presented.update(parse_qs(scope["query_string"].decode("latin-1")).get("access_token", []))
    presented.discard("")
    if not presented and scope["type"] == "http" and scope["path"].startswith(_COOKIE_PREFIXES):
        presented.add(cookie_parser(headers.get("cookie", "")).get(KEY_COOKIE, ""))
        presented.discard("")
    if len(presented) > 1:
        message = "The request has several different keys. Send one."
        raise Refusal(HTTPStatus.UNAUTHORIZED, message, kind="several_keys", headers=_UNAUTHORIZED)
    return next(iter(presented), None)


def _in_url(host: str) -> str:
    """A host as it is in a URL, without a port: an IPv6 address is in brackets."""
    is_address = host.count(":") > 1 and not host.startswith("[")
    return f"[{host}]" if is_address else _without_port(host)


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host
