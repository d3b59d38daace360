"""Summaries: system messages whose `content.metadata.summary` names the range of messages that they cover.

`{"type": "text", "text": ..., "metadata": {"summary": {"from_sequence": 1, "to_sequence": 80}}}`. A summary is added at
the end of its thread like any other message, and the messages that it covers remain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from chatstore_cli.domain.threads.models import ChatMessage

SUMMARY_ROLE = "system"


class SummaryRange(NamedTuple):
    """The sequences of the first and the last message that a summary covers."""

    from_sequence: int
    to_sequence: int


def summary_content(text: str, covered: SummaryRange) -> dict[str, Any]:
    """The content of a summary."""
    return {"type": "text", "text": text, "metadata": {"summary": covered._asdict()}}


def summary_range(message: ChatMessage) -> SummaryRange | None:
    """The range that a summary covers; None if the message is not a summary."""
    metadata = message.content.get("metadata")
    named = metadata.get("summary") if isinstance(metadata, dict) else None
    if message.sender_role != SUMMARY_ROLE or not isinstance(named, dict):
        return None
    first, last = named.get("from_sequence"), named.get("to_sequence")
    # The type is compared exactly, because True is an integer too.
    return SummaryRange(first, last) if type(first) is type(last) is int else None


def is_summary(message: ChatMessage) -> bool:
    """Whether the message is a summary."""
    return summary_range(message) is not None
