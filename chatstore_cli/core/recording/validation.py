"""Checks of what an application records, before anything is written."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from chatstore_cli.domain.errors import BadValue
from chatstore_cli.domain.message import ROLES, Message, ReplyTo
from chatstore_cli.domain.times import canonical_instant, format_instant

MAX_METADATA_DEPTH = 150
"""Levels of nesting: MongoDB rejects documents that are nested about 200 levels deep."""

_SMALLEST, _LARGEST = -(2**63), 2**63 - 1


def check_role_and_text(role: object, text: object) -> None:
    """Raises BadValue unless they are the role and the text of a message."""
    if role.__class__ is not str or role not in ROLES:
        raise BadValue(name="role", value=_shown(role), expected=f"one of {', '.join(sorted(ROLES))}")
    if text.__class__ is not str:
        raise BadValue(name="text", value=_shown(text), expected="text")
    if not text:
        raise BadValue(name="text", value=text, expected="a text with at least one character")


def canonical_time(created_at: object) -> str:
    """The canonical instant of a datetime (a naive one is UTC) or ISO 8601 text. Raises BadValue for anything else."""
    try:
        if isinstance(created_at, datetime):
            return format_instant(created_at)
        if isinstance(created_at, str):
            return canonical_instant(created_at)
    except ValueError:
        pass
    raise BadValue(name="created_at", value=_shown(created_at), expected="a datetime, or ISO 8601 text")


def checked_reply_to(message: object, session_id: str) -> ReplyTo:
    """The message that is answered. Raises BadValue if it is not a message of this session that has a time."""
    if not isinstance(message, Message) or message.session_id != session_id or message.created_at is None:
        raise BadValue(name="reply_to", value=_shown(message), expected="a message of this session, with its time")
    return ReplyTo(message.created_at, message.message_id)


def storable_metadata(metadata: object) -> dict[str, Any]:
    """A copy of metadata for JSON and BSON. Raises BadValue that names the path of the first value that does not fit."""
    if metadata is None:
        return {}
    if not isinstance(metadata, dict):
        raise BadValue(name="metadata", value=_shown(metadata), expected="a dict")
    copied: dict[str, Any] = _storable(metadata, "metadata", 1)
    return copied


def _storable(value: Any, path: str, level: int) -> Any:
    kind = value.__class__
    if kind is str:
        if not value.isascii() and has_lone_surrogate(value):
            raise BadValue(name=path[:200], value=_shown(value), expected="text that can be stored")
        return value
    if kind is bool or value is None:
        return value
    if kind is int:
        if not _SMALLEST <= value <= _LARGEST:
            raise BadValue(name=path, value=_shown(value), expected="a whole number of at most 64 bits")
        return value
    if kind is float:
        if not math.isfinite(value):
            raise BadValue(name=path, value=_shown(value), expected="a finite number")
        return value
    if level > MAX_METADATA_DEPTH:
        raise BadValue(name=path[:200], value="...", expected=f"nested at most {MAX_METADATA_DEPTH} levels deep")
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str) or "\0" in key or has_lone_surrogate(key):
                expected = "text without NUL that can be stored"
                raise BadValue(name=f"a key of {path[:200]}", value=_shown(key), expected=expected)
        return {
            str.__str__(key): _storable(item, f"{path}.{_printable(key)}", level + 1) for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_storable(item, f"{path}[{number}]", level + 1) for number, item in enumerate(value)]
    if (plain := _plain(value)) is not None:
        return _storable(plain, path, level)
    raise BadValue(name=path[:200], value=_shown(value), expected="text, a number, true, false, null, a list or a dict")


def _plain(value: object) -> str | int | float | None:
    """The plain value of a subclass instance, such as an enumeration member or a numpy number; None for other types."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    return float.__float__(value) if isinstance(value, float) else None


def has_lone_surrogate(text: str) -> bool:
    """Whether the text cannot be encoded as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _printable(key: str) -> str:
    # An error message is one line, and terminals print it.
    return key[:60] if key.isprintable() else repr(key[:60])


def _shown(value: object) -> str:
    return value[:60] if isinstance(value, str) else f"<{type(value).__name__}>"
