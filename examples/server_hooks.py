"""Two functions for `chatstore serve`: one answers messages, and one gives callers their tokens.

    PYTHONPATH=examples CHATSTORE_SERVER__RESPONDER=server_hooks:respond chatstore serve
    PYTHONPATH=examples CHATSTORE_SERVER__DISPATCH=server_hooks:dispatch chatstore serve

A function of an application would ask a model here, or the service that hosts its calls. It needs time limits of its own.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import Any

from chatstore_cli.domain.responding import Question
from chatstore_cli.server.turns.dispatch import DispatchRequest


async def respond(question: Question) -> AsyncIterator[str | dict[str, Any]]:
    """Yield the answer in pieces, an event that sockets pass on, and what the answer used."""
    words = question.text.split()
    yield {"type": "select_speaker", "agent": "counter"}
    yield f"Your message has {len(words)} words. "
    yield f"This session has {len(question.history)} messages."
    yield {
        "type": "usage",
        "turn_id": secrets.token_hex(8),  # the same id counts once
        "prompt_tokens": len(words),
        "completion_tokens": 10,
        "cost": "0.0001",  # in chatstore.usage.currency; None if it is not known
        "model": "word-counter",
    }


def dispatch(request: DispatchRequest) -> dict[str, Any]:
    """Return a token for the room of a call. `request.config` has the agent's configuration with its secrets."""
    token = f"{request.room}.{request.user_identity}.{secrets.token_hex(8)}"
    return {"userToken": token, "livekitUrl": "wss://calls.example", "agentDispatched": True}
