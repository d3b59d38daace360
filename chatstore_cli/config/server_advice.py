"""Warnings about the settings of `chatstore serve`."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from urllib.parse import urlsplit

from chatstore_cli.config.settings import ServerSettings


def unusual_server_settings(server: ServerSettings) -> Iterator[tuple[str, str, str]]:
    """For each unusual setting its name, what is unusual about it, and what to do. Nothing is resolved."""
    if not _is_loopback(server.host):
        hint = "Create keys (chatstore serve keys create), and add the names of the server to chatstore.server.allowed_hosts."
        yield "host", "other machines can reach this address, so the server does not start without keys.", hint
    if _has_star(server.allowed_hosts):
        hint = "List the names of the server, or let a proxy check them."
        yield "allowed_hosts", "any web page can reach the server by a name that points to it.", hint
    if _has_star(server.cors_origins):
        yield "cors_origins", "any web page can send requests to the server.", "List the origins of your front ends."
    if server.responder == "openai" and (server.responder_url is None or server.responder_model is None):
        what = "openai needs responder_url and responder_model, so the server does not start."
        yield "responder", what, "Set them, for example to https://api.openai.com/v1 and gpt-4o-mini."
    url = urlsplit(server.responder_url or "")
    if server.responder_key and url.scheme == "http" and not _is_loopback(url.hostname or ""):
        yield "responder_url", "the key is sent without encryption.", "Use https://."


def _has_star(names: str) -> bool:
    return "*" in [name.strip() for name in names.split(",")]


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
