"""Chooses the responder that the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatstore_cli.domain.errors import BadConfig
from chatstore_cli.server.turns.responders.echo import EchoResponder

if TYPE_CHECKING:
    from chatstore_cli.config.settings import Settings
    from chatstore_cli.domain.responding import Responder


def responder_of(settings: Settings) -> Responder:
    """The responder of chatstore.server.responder. Raises BadConfig."""
    server = settings.chatstore.server
    if server.responder == "echo":
        return EchoResponder()
    if server.responder != "openai":
        from chatstore_cli.server.turns.responders.hook import HookResponder

        return HookResponder.named(server.responder)
    if server.responder_url is None or server.responder_model is None:
        what = "the responder openai needs responder_url and responder_model."
        raise BadConfig(
            where="chatstore.server", what=what, hint="For example https://api.openai.com/v1 and gpt-4o-mini."
        )
    from chatstore_cli.server.turns.responders.openai import OpenAIResponder

    return OpenAIResponder(server.responder_url, server.responder_model, server.responder_key)
