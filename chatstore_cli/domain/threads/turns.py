"""A stored message of a thread as one turn of a session: the same rules for every database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from chatstore_cli.domain.message import Message
from chatstore_cli.domain.workflow.provider_parts import id_as_text

Plain = Callable[[Any], Any]
"""Makes a JSON value of a stored one."""

_PLAIN_TEXT = frozenset({"type", "text", "metadata"})


def turn(
    session_id: str,
    stored: Any,
    *,
    role: Any,
    message_id: str | None,
    sequence: int | None,
    sender: str | None,
    created_at: datetime | None,
    plain: Plain,
) -> Message:
    """The turn of a message with the content `stored`.

    Its content is the text, or the stored object without its metadata. The speaker of a tool's message is
    `metadata.tool_name` if that is a text. Otherwise it is the sender.
    """
    content, metadata = _content_and_metadata(stored, plain)
    fields = stored if isinstance(stored, dict) else {}
    calls = next((each for each in _both("tool_calls", fields, metadata) if isinstance(each, list)), None)
    tool_call_id = next(filter(None, map(id_as_text, _both("tool_call_id", fields, metadata))), None)
    tool = metadata.get("tool_name")
    return Message(
        session_id,
        str(role) if isinstance(role, str) and role else "unknown",
        content,
        message_id=message_id,
        sequence=sequence,
        name=(str(tool) if role == "tool" and isinstance(tool, str) else sender) or None,
        created_at=created_at,
        tool_calls=None if calls is None else plain(calls),
        tool_call_id=tool_call_id,
        metadata=metadata,
    )


def _content_and_metadata(stored: Any, plain: Plain) -> tuple[Any, dict[str, Any]]:
    if not isinstance(stored, dict):
        return plain(stored), {}
    metadata = stored.get("metadata")
    if not isinstance(metadata, dict):
        metadata = {} if metadata is None else {"metadata": metadata}
    text = stored.get("text")
    if stored.get("type", "text") == "text" and "text" in stored and stored.keys() <= _PLAIN_TEXT:
        return text if text.__class__ is str else plain(text), metadata
    content = {name: plain(value) for name, value in stored.items() if name != "metadata"}
    # Parts under any of the usual names are the content itself.
    inner = content.get("content", content.get("parts"))
    return inner if isinstance(inner, list) and content.keys() <= {"type", "content", "parts"} else content, metadata


def _both(name: str, content: Mapping[str, Any], metadata: Mapping[str, Any]) -> tuple[Any, Any]:
    return content.get(name), metadata.get(name)
