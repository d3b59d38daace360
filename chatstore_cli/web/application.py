"""The checked application over HTTP and WebSocket."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from chatstore_cli.domain.checked_application import Response, WebSocketConnection
from chatstore_cli.web.address import Address
from chatstore_cli.web.http_client import send_request
from chatstore_cli.web.websocket_client import open_connection


class WebApplication:
    """An Application that is asked without a proxy."""

    def __init__(self, address: Address) -> None:
        self._address = address
        # The system's certificate authorities, and those of SSL_CERT_FILE.
        self._context = ssl.create_default_context() if address.is_secure else None

    @property
    def url(self) -> str:
        return self._address.shown

    def request(
        self,
        method: str,
        path: str,
        *,
        seconds: float,
        query: Mapping[str, str] | None = None,
        payload: Mapping[str, Any] | None = None,
    ) -> Response:
        return send_request(self._address, self._context, method, path, seconds=seconds, query=query, payload=payload)

    def open_websocket(self, path: str, seconds: float) -> AbstractContextManager[WebSocketConnection | Response]:
        return open_connection(self._address, self._context, path, seconds)

    def without_secrets(self, text: str) -> str:
        for secret in self._address.secrets:
            text = text.replace(secret, "***")
        return text
