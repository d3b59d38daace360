"""`jsonl`: every message as it is read, one JSON object a line, under the words of DESIGN section 2."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from chatstore_cli.domain.message import Message
from chatstore_cli.domain.repairs import Repairs


def rows(messages: Iterable[Message], _repairs: Repairs) -> Iterator[dict[str, Any]]:
    """A row a message: the keys, and their order, of every other listing of messages."""
    # Unpacked at once, because a hundred thousand messages are written like this.
    for _, role, content, message_id, sequence, name, at, event_type, source, calls, call_id, metadata in messages:
        yield {
            "message_id": message_id,
            "sequence": sequence,
            "role": role,
            "name": name,
            "content": content,
            "created_at": at,
            "event_type": event_type,
            "source": source,
            "tool_calls": calls,
            "tool_call_id": call_id,
            "metadata": metadata,
        }
