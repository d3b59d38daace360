"""The application under test, over HTTP and WebSocket."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from contextlib import AbstractContextManager

from chatstore_cli.domain.checked_application import Answer, Conversation
from chatstore_cli.web.address import Address
from chatstore_cli.web.http_client import request
from chatstore_cli.web.websocket_client import conversation


class WebApplication:
    """One server, spoken to directly."""

    def __init__(self, address: Address) -> None:
        self._address = address
        # The system's own authorities, and those of SSL_CERT_FILE.
        self._context = ssl.create_default_context() if address.is_secure else None

    @property
    def url(self) -> str:
        """Where it is, without credentials."""
        return self._address.shown

    def ask(
        self,
        method: str,
        path: str,
        *,
        seconds: float,
        query: Mapping[str, str] | None = None,
        payload: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request, with the payload as JSON."""
        return request(self._address, self._context, method, path, seconds=seconds, query=query, payload=payload)

    def converse(self, path: str, seconds: float) -> AbstractContextManager[Conversation | Answer]:
        """A WebSocket connection; the answer of a server that does not open one."""
        return conversation(self._address, self._context, path, seconds)

    def without_secrets(self, text: str) -> str:
        """Any text with what authorises the requests replaced by `***`."""
        for secret in self._address.secrets:
            text = text.replace(secret, "***")
        return text
