"""Chooses the responder that the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatstore_cli.server.responders.echo import EchoResponder

if TYPE_CHECKING:
    from chatstore_cli.config.settings import Settings
    from chatstore_cli.domain.responding import Responder


def responder_of(settings: Settings) -> Responder:
    """The responder of chatstore.server.responder."""
    return EchoResponder()
