"""Masking the secrets of URIs, and keys of services, in texts that are shown or logged."""

from __future__ import annotations

import re

_USER_INFO = re.compile(r"//\S*@")
"""By position, not by form: a user or a password without percent-encoding may contain `@`, `:` and `/`."""

_PORT = re.compile(r"(//[^:/?@\s\[\]]+):(?!\d+\b)[^/?@\s,'\"]+")
"""A port that is not a number is most likely a password, in a URI whose `@host` is missing."""

_OPTIONS = re.compile(
    r"(?i)([?&;]\w*(?:pass|pwd|secret|token|api_?key|access_?key|credential|authmechanismproperties)\w*)=[^&;\s]*"
)
_OWN_KEYS = re.compile(r"\b(chatstore_[0-9a-f]{12})_[0-9a-f]{16,}")
_KEYS = re.compile(r"\b(sk|pk|rk)-[A-Za-z0-9_-]{16,}|(?i:\b(bearer))\s+[^\s'\"]+")


def masked(text: str) -> str:
    """The text with `***` in place of the user and password of URIs, of secret URI options, and of service keys.

    The user is masked too: only the last `@` of a URI is known to be the end of the password.
    """
    text = _PORT.sub(r"\1:***", _USER_INFO.sub("//***@", text))
    return _KEYS.sub(_masked_key, _OWN_KEYS.sub(r"\1_***", _OPTIONS.sub(r"\1=***", text)))


def masked_uri(uri: str) -> str:
    """The URI with `***` in place of its secrets, even if they contain blanks."""
    scheme, slashes, rest = uri.partition("//")
    before, at, after = rest.rpartition("@")
    return masked(f"{scheme}{slashes}{'***' if at else before}{at}{after}")


def hosts_of(uri: str) -> str:
    """The part of a URI that names its hosts, still percent-encoded."""
    return re.split(r"[/?]", uri.partition("//")[2].rpartition("@")[2], maxsplit=1)[0]


def _masked_key(match: re.Match[str]) -> str:
    return f"{match[1]}-***" if match[1] else f"{match[2]} ***"
