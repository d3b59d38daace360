"""Decides which messages are stored: a message of the assistant that is sent again is not."""

from __future__ import annotations

from collections.abc import Sequence

from chatstore_cli.core.agents.stored_values import same
from chatstore_cli.domain.agent_sessions import AgentMessage

ASSISTANT = "assistant"


def without_retries(last: AgentMessage | None, messages: Sequence[AgentMessage]) -> list[AgentMessage]:
    """The messages to store after the last stored one, without each that repeats a message of the assistant before it.

    Only a message directly after the equal one is a retry. If another message is between them, the assistant has said
    the same again, and both are stored.
    """
    kept: list[AgentMessage] = []
    for message in messages:
        if not _is_retry(last, message):
            kept.append(message)
            last = message
    return kept


def _is_retry(last: AgentMessage | None, message: AgentMessage) -> bool:
    if last is None or message.role != ASSISTANT or last.role != ASSISTANT:
        return False
    return same(message.content, last.content) and same(dict(message.more), dict(last.more))
