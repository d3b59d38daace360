"""Searches the messages of a Python agent, one document each."""

from __future__ import annotations

from chatstore_cli.domain.search.models import TextFilter
from chatstore_cli.mongo.agent_sessions.documents import OWN_AGENT_MESSAGES
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.search.text_condition import conditions

_NOT_SEARCHED = (
    "_id", "session_id", "user_id", "agent_id", "role", "name", "created_at", "updated_at", "sequence", "tool_call_id",
    "metadata",
)  # fmt: skip
"""The fields of a stored message that are not part of its text."""


def search_conditions(text: TextFilter) -> list[Document]:
    """The conditions that every message with a hit meets."""
    return [OWN_AGENT_MESSAGES.filter(), *conditions(text, _NOT_SEARCHED, lambda message: message)]
