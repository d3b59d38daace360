"""Which values a thread and a message can have: checked once, before any store, so that every store accepts the same.

Every check raises InvalidThreadData, which names the value by its path, for example `content.metadata.scores[3]`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from chatstore_cli.domain.errors import InvalidThreadData
from chatstore_cli.domain.message import ROLES

MAX_NAME, MAX_ID, MAX_OWNER = 10_000, 200, 500
"""Characters of a thread's name, of a message's or thread's id, and of the id of a user or organisation."""
MAX_CONTENT_BYTES = 12 * 1024 * 1024
"""Size of one message, and of all messages that are added together. MongoDB rejects documents over 16 MiB."""
MAX_LEVELS = 90
"""Levels of objects and lists in a content. MongoDB allows 100 in a document."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**63 - 1
_BYTES_PER_VALUE = 16
"""What a value takes beside its text, more than any store needs."""


def checked_name(name: object) -> str:
    """The name of a thread."""
    return _text(name, "name", MAX_NAME)


def checked_owner(owner: object, field: str) -> str:
    """The id of a user or an organisation."""
    return _text(owner, field, MAX_OWNER)


def checked_old_text(value: object, field: str) -> str:
    """A name, owner, sender or role of an imported thread. Old data has empty ones and other roles."""
    return _text(value, field, MAX_NAME, shortest=0)


def checked_id(identity: object, field: str) -> str:
    """The id of a thread or a message."""
    return _text(identity, field, MAX_ID)


def checked_role(role: object, *, strict: bool) -> str:
    """The role of a message: one of the four, or with `strict` False any text."""
    text = _text(role, "sender_role", MAX_ID)
    if strict and text not in ROLES:
        raise InvalidThreadData(what=f"sender_role: {text!r} is not one of {', '.join(sorted(ROLES))}.")
    return text


def checked_content(content: object, path: str = "content") -> tuple[dict[str, Any], int]:
    """A copy of a message's content, made of JSON values only, and the upper bound of its size in bytes."""
    if not isinstance(content, Mapping):
        raise _invalid(path, f"a {type(content).__name__} is not a JSON object")
    walk = _Walk()
    copy = walk.checked(content, path, 1)
    return copy, walk.size


class _Walk:
    """One walk through a content, which adds up its size."""

    def __init__(self) -> None:
        self.size = 0

    def checked(self, value: object, path: str, level: int) -> Any:
        self._add(_BYTES_PER_VALUE, path)
        if value is None or value is True or value is False:
            return value
        if isinstance(value, str):
            return self._text(value, path)
        if isinstance(value, int):
            if not _MIN_INTEGER <= value <= _MAX_INTEGER:
                raise _invalid(path, "an integer beyond 64 bits")
            return int(value)
        if isinstance(value, float):
            if not math.isfinite(value):
                raise _invalid(path, f"{float(value)} is not a finite number")
            return float(value)
        if not isinstance(value, Mapping | list | tuple):
            raise _invalid(path, f"a {type(value).__name__} is not a JSON value")
        if level > MAX_LEVELS:
            raise _invalid("content", f"more than {MAX_LEVELS} levels")
        if isinstance(value, Mapping):
            return {self._key(key, path): self.checked(item, f"{path}.{key}", level + 1) for key, item in value.items()}
        return [self.checked(item, f"{path}[{number}]", level + 1) for number, item in enumerate(value)]

    def _key(self, key: object, path: str) -> str:
        if not isinstance(key, str):
            raise _invalid(path, f"the key {key!r} is not a text")
        return self._text(key, f"{path}: a key")

    def _text(self, text: str, path: str) -> str:
        found = None if text.isascii() and "\0" not in text else _UNSTORABLE.search(text)
        if found:
            what = "NUL" if found.group() == "\0" else f"the lone surrogate {found.group()!r}"
            raise _invalid(path, f"{what} at position {found.start()}")
        self._add(len(text) if text.isascii() else len(text.encode()), path)
        return str(text)

    def _add(self, size: int, path: str) -> None:
        self.size += size
        if self.size > MAX_CONTENT_BYTES:
            raise _invalid(path, f"the content exceeds {MAX_CONTENT_BYTES >> 20} MiB here")


def _text(value: object, field: str, longest: int, shortest: int = 1) -> str:
    if not isinstance(value, str):
        raise _invalid(field, f"a {type(value).__name__} is not a text")
    if not shortest <= len(value) <= longest:
        length = "it is empty" if not value else f"it has {len(value):,} characters"
        raise InvalidThreadData(what=f"{field}: {length}, and {shortest} to {longest:,} are allowed.")
    if _UNSTORABLE.search(value):
        raise _invalid(field, "NUL or a lone surrogate")
    return str(value)


def _invalid(path: str, what: str) -> InvalidThreadData:
    shown = path if len(path) <= 300 else f"{path[:300]}…"
    return InvalidThreadData(what=f"{_printable(shown)}: {what}. It cannot be stored.")


def _printable(path: str) -> str:
    return path.encode("ascii", "backslashreplace").decode() if _UNSTORABLE.search(path) else path
