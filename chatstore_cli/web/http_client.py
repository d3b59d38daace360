"""One HTTP request to an untrusted server, bounded in time and in the size of the response."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from chatstore_cli.domain.checked_application import Response
from chatstore_cli.domain.errors import ChatstoreError, Overdue, Unreachable
from chatstore_cli.web.address import Address
from chatstore_cli.web.time_limit import run_within

LONGEST_BODY = 4 * 1024 * 1024
"""Bytes. A history of a few short messages has some kilobytes; 4 MiB of JSON can take 100 MiB once decoded."""

LOG_HINT = "See the application's own log."


def send_request(
    address: Address,
    context: ssl.SSLContext | None,
    method: str,
    path: str,
    *,
    seconds: float,
    query: Mapping[str, str] | None,
    payload: Mapping[str, Any] | None,
) -> Response:
    """The response to one request, sent without a proxy of the environment."""
    activity = f"{method} {address.base_path}{without_query(path)}"
    headers = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "chatstore"}
    content = None if payload is None else json.dumps(payload).encode()
    if content is not None:
        headers["content-type"] = "application/json"
    all_headers = httpx.Headers(headers)
    for name, value in address.headers:
        all_headers[name] = value

    def send() -> Response:
        deadline = time.monotonic() + seconds
        url = httpx.URL(address.url(path)).copy_merge_params(query or {})
        # Without a context there is no TLS, and so no certificate to verify.
        with (
            httpx.Client(verify=context or False, timeout=seconds, trust_env=False) as client,
            client.stream(method, url, content=content, headers=all_headers) as response,
        ):
            return Response(response.status_code, _body(response, activity, deadline), _location(response))

    try:
        return run_within(seconds, activity, send)
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, UnicodeError, ValueError) as error:
        raise _translated(error, activity, seconds) from error


def without_query(path: str) -> str:
    """A path without its query, which may contain a token."""
    return path.partition("?")[0]


def _body(response: httpx.Response, activity: str, deadline: float) -> bytes:
    pieces, length = [], 0
    # Raw: a compressed response, which was not accepted, could be decompressed to any size.
    for piece in response.iter_raw():
        length += len(piece)
        if length > LONGEST_BODY:
            what = f"{activity}: the response is over {LONGEST_BODY >> 20} MiB"
            raise ChatstoreError(what=what, hint="Check the path: the few messages of one session are a few kilobytes.")
        if time.monotonic() > deadline:
            raise httpx.ReadTimeout("the response does not end")
        pieces.append(piece)
    encoding = response.headers.get("content-encoding", "identity")
    if encoding.lower() not in ("", "identity"):
        what = f"{activity}: the response is compressed ({encoding[:40]}), though only identity was accepted"
        raise ChatstoreError(what=what, hint="Compress only what the request's Accept-Encoding allows.")
    return b"".join(pieces)


def _location(response: httpx.Response) -> str | None:
    location = response.headers.get("location")
    if location is None or not 300 <= response.status_code < 400:
        return None
    try:
        parts = urlsplit(location)
    except ValueError:
        return "an invalid URL"
    return str(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl())[:200]


def _translated(error: Exception, activity: str, seconds: float) -> ChatstoreError:
    reason = first_line(error)
    if isinstance(error, httpx.ConnectTimeout):
        return Unreachable(what=f"{activity}: no connection within {seconds:g} seconds", hint="Check host and port.")
    if isinstance(error, httpx.ConnectError):
        return unreachable(activity, reason)
    if isinstance(error, httpx.TimeoutException):
        what = f"{activity}: no complete response within {seconds:g} seconds"
        return Overdue(what=what, hint="Increase --deadline, or find out what the application waits for.")
    if isinstance(error, httpx.RemoteProtocolError):
        return ChatstoreError(what=f"{activity}: the response is not valid HTTP: {reason}", hint=LOG_HINT)
    if isinstance(error, httpx.NetworkError):
        return ChatstoreError(what=f"{activity}: the connection was lost: {reason}", hint=LOG_HINT)
    return ChatstoreError(what=f"{activity}: {reason}")


def unreachable(activity: str, reason: str) -> Unreachable:
    """The error for a server that cannot be reached. The system's reason decides the hint."""
    hint = "Check that the application runs, and check host and port of --api-url."
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        hint = "For a private certificate authority, name its file in SSL_CERT_FILE."
    elif "SSL" in reason:
        hint = "Check whether the server uses http:// instead of https://."
    return Unreachable(what=f"{activity}: cannot connect: {reason}", hint=hint)


def first_line(error: Exception) -> str:
    """The first line of an error's text, or its type."""
    return (str(error).strip().partition("\n")[0] or type(error).__name__)[:300]
