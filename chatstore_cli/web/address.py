"""An application's URL and the headers for it. Credentials and header values are never shown."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from chatstore_cli.domain.errors import WrongUse

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VISIBLE = re.compile(r"[\t\x20-\x7e]*")
_PORTS = {"http": 80, "https": 443}
_SHORTEST_SECRET = 6
"""Characters. Replacing shorter secrets would make a text unreadable."""


@dataclass(frozen=True)
class Address:
    """A server's URL in its parts. `headers` are sent with every request; `secrets` must never be shown."""

    scheme: str
    host: str
    port: int
    base_path: str
    headers: Sequence[tuple[str, str]] = field(repr=False, default=())
    secrets: Sequence[str] = field(repr=False, default=())

    @property
    def is_secure(self) -> bool:
        """Whether the server requires TLS."""
        return self.scheme == "https"

    @property
    def shown(self) -> str:
        """The URL without credentials."""
        return f"{self.scheme}://{self._authority}{self.base_path}"

    def url(self, path: str, *, websocket: bool = False) -> str:
        """The URL of a path below it, without credentials."""
        scheme = {"http": "ws", "https": "wss"}[self.scheme] if websocket else self.scheme
        return f"{scheme}://{self._authority}{self.base_path}{path}"

    @property
    def _authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def read_address(url: str, headers: Sequence[str]) -> Address:
    """The parts of a URL; its credentials become a header. Raises WrongUse, without a secret in the text."""
    parts = _parts(url)
    header_pairs = [_read_header(header) for header in headers]
    secrets = [value for _, value in header_pairs] + [word for _, value in header_pairs for word in value.split()[1:]]
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if user or password:
        encoded = base64.b64encode(f"{user}:{password}".encode()).decode()
        secrets += [password or user, parts.password or parts.username or "", encoded]
        if not any(name.lower() == "authorization" for name, _ in header_pairs):
            header_pairs.append(("Authorization", f"Basic {encoded}"))
    return Address(
        parts.scheme,
        str(parts.hostname),
        parts.port or _PORTS[parts.scheme],
        parts.path.rstrip("/"),
        tuple(header_pairs),
        tuple(sorted({secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}, key=len, reverse=True)),
    )


def _parts(url: str) -> SplitResult:
    flaw = None
    try:
        parts = urlsplit(url)
        _ = parts.port
        if not re.fullmatch(r"[\x21-\x7e]+", url):
            flaw = "percent-encode spaces and characters outside ASCII"
        elif parts.scheme not in _PORTS:
            flaw = "it must begin with http:// or https://"
        elif not parts.hostname:
            flaw = "it must name a host"
        elif parts.query or parts.fragment or "?" in url or "#" in url:
            flaw = "it must not contain ? or #; use --header for authorisation"
        elif "@" in parts.path:
            flaw = "user and password must be percent-encoded (@ is %40, / is %2F)"
    except ValueError:
        flaw = "write host and port as in http://localhost:8000"
    if flaw is not None:  # the value is not shown: any part of it may be a password
        raise WrongUse(what=f"--api-url is not the URL of an application: {flaw}.")
    return parts


def _read_header(header: str) -> tuple[str, str]:
    name, colon, value = header.partition(":")
    name, value = name.strip(), value.strip()
    if not colon or not _TOKEN.fullmatch(name):
        raise WrongUse(what="--header must have the form 'Name: value'.")
    if not _VISIBLE.fullmatch(value):
        raise WrongUse(what=f"--header {name}: the value must consist of visible ASCII characters.")
    return name, value
