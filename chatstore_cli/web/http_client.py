"""One HTTP request at a time to a server that may do anything: bounded in time and in what is read of it."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from chatstore_cli.domain.checked_application import Answer
from chatstore_cli.domain.errors import ChatstoreError, Overdue, Unreachable
from chatstore_cli.web.address import Address
from chatstore_cli.web.time_limit import within

LONGEST_BODY = 4 * 1024 * 1024
"""Bytes. A history of a few short messages has some kilobytes; 4 MiB of JSON can take 100 MiB once it is decoded."""


def request(
    address: Address,
    context: ssl.SSLContext | None,
    method: str,
    path: str,
    *,
    seconds: float,
    query: Mapping[str, str] | None,
    payload: Mapping[str, str] | None,
) -> Answer:
    """Ask, and read the answer; straight, through no proxy of the environment."""
    doing = f"{method} {address.base_path}{without_query(path)}"
    headers = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "chatstore"}
    content = None if payload is None else json.dumps(payload).encode()
    if content is not None:
        headers["content-type"] = "application/json"
    sent = httpx.Headers(headers)
    for name, value in address.headers:
        sent[name] = value

    def ask() -> Answer:
        deadline = time.monotonic() + seconds
        url = httpx.URL(address.url(path)).copy_merge_params(query or {})
        # Without a context there is no TLS, and so no certificate that could be looked at.
        with (
            httpx.Client(verify=context or False, timeout=seconds, trust_env=False) as client,
            client.stream(method, url, content=content, headers=sent) as response,
        ):
            return Answer(response.status_code, _body(response, doing, deadline), _location(response))

    try:
        return within(seconds, doing, ask)
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, UnicodeError, ValueError) as error:
        raise _translated(error, doing, seconds) from error


def without_query(path: str) -> str:
    """A path as it may be shown: in a query there may be a token."""
    return path.partition("?")[0]


def _body(response: httpx.Response, doing: str, deadline: float) -> bytes:
    pieces, length = [], 0
    # As it came: to unpack what nobody asked to be packed would be to fill the memory as the server likes.
    for piece in response.iter_raw():
        length += len(piece)
        if length > LONGEST_BODY:
            what = f"{doing}: the answer is over {LONGEST_BODY >> 20} MiB"
            raise ChatstoreError(what=what, hint="The few messages of one session are a few kilobytes.")
        if time.monotonic() > deadline:
            raise httpx.ReadTimeout("the answer never ends")
        pieces.append(piece)
    encoding = response.headers.get("content-encoding", "identity")
    if encoding.lower() not in ("", "identity"):
        what = f"{doing}: the answer is packed ({encoding[:40]}), though only identity was accepted"
        raise ChatstoreError(what=what, hint="Compress only what the request's Accept-Encoding allows.")
    return b"".join(pieces)


def _location(response: httpx.Response) -> str | None:
    location = response.headers.get("location")
    if location is None or not 300 <= response.status_code < 400:
        return None
    try:
        parts = urlsplit(location)
    except ValueError:
        return "somewhere that is no URL"
    return str(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl())[:200]


def _translated(error: Exception, doing: str, seconds: float) -> ChatstoreError:
    reason = _reason(error)
    if isinstance(error, httpx.ConnectTimeout):
        return Unreachable(what=f"{doing}: no connection within {seconds:g} seconds", hint="Check host and port.")
    if isinstance(error, httpx.ConnectError):
        return unreachable(doing, reason)
    if isinstance(error, httpx.TimeoutException):
        return Overdue(
            what=f"{doing}: no whole answer within {seconds:g} seconds",
            hint="Give it longer with --deadline, or find out what the application waits for.",
        )
    if isinstance(error, httpx.RemoteProtocolError):
        return ChatstoreError(what=f"{doing}: what came is not HTTP as it should be: {reason}", hint=_CRASH)
    if isinstance(error, httpx.NetworkError):
        return ChatstoreError(what=f"{doing}: the connection broke off: {reason}", hint=_CRASH)
    return ChatstoreError(what=f"{doing}: {reason}")


_CRASH = "The application's own log says more."


def unreachable(doing: str, reason: str) -> Unreachable:
    """There is no way to the server, for a reason in the system's words, which also decide what is to be done."""
    hint = "Check that the application runs, and host and port of --api-url."
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        hint = "For a certificate of an authority of your own, name its file in SSL_CERT_FILE."
    elif "SSL" in reason:
        hint = "Is it http:// there instead of https://?"
    return Unreachable(what=f"{doing}: cannot connect: {reason}", hint=hint)


def _reason(error: Any) -> str:
    return (str(error).strip().partition("\n")[0] or type(error).__name__)[:300]
