"""Checks of the values of threads and messages, made before any store, so that every store accepts the same values.

Every check raises InvalidThreadData, which names the value by its path, for example `content.metadata.scores[3]`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from chatstore_cli.domain.errors import InvalidThreadData
from chatstore_cli.domain.json_types import type_in_words
from chatstore_cli.domain.message import ROLES

MAX_NAME, MAX_ID, MAX_OWNER = 10_000, 200, 500
"""Characters of a thread's name, of a message's or thread's id, and of the id of a user or tenant."""
MAX_CONTENT_BYTES = 12 * 1024 * 1024
"""Size of one message, and of all messages that are added together. MongoDB rejects documents over 16 MiB."""
MAX_LEVELS = 90
"""Levels of objects and lists in a content. MongoDB allows 100 in a document."""
MAX_SEQUENCE = 2**53
"""The highest sequence of a message. JSON readers keep no higher integer exactly, and a database has room for more."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_SIMPLE_KEY = re.compile(r"[A-Za-z0-9_$-]{1,100}")
_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**63 - 1
_BYTES_PER_VALUE = 16
"""Bytes that are counted for each value beside its text: at least as many as any store needs."""


def checked_name(name: object) -> str:
    """The name of a thread."""
    return _text(name, "name", MAX_NAME)


def checked_owner(owner: object, field: str) -> str:
    """The id of a user or a tenant."""
    return _text(owner, field, MAX_OWNER)


def checked_old_text(value: object, field: str) -> str:
    """A name, owner, sender or role of an imported thread. Old data has empty ones and other roles."""
    return _text(value, field, MAX_NAME, shortest=0)


def checked_id(identity: object, field: str) -> str:
    """The id of a thread or a message."""
    return _text(identity, field, MAX_ID)


def checked_role(role: object, *, strict: bool, field: str = "sender_role") -> str:
    """The role of a message: one of the four, or with `strict` False any text."""
    if type(role) is str and role in ROLES:
        return role
    text = _text(role, field, MAX_ID)
    if strict and text not in ROLES:
        raise InvalidThreadData(what=f"{field}: {text!r} is not one of {', '.join(sorted(ROLES))}.")
    return text


def checked_content(content: object, path: str = "content") -> tuple[dict[str, Any], int]:
    """A copy of a message's content, made of JSON values only, and the upper bound of its size in bytes."""
    walk = _Walk()
    try:
        copy = walk.copy_of_object(content, 1)
    except _Flaw as flaw:
        raise _invalid(path + "".join(reversed(flaw.steps)), flaw.what) from None
    return copy, walk.size


def size_of(value: Any) -> int:
    """The upper bound of a stored JSON value's size in bytes, as `checked_content` computes it."""
    if isinstance(value, str):
        return _BYTES_PER_VALUE + _bytes_of(value)
    if isinstance(value, dict):
        return _BYTES_PER_VALUE + sum(_bytes_of(key) + size_of(item) for key, item in value.items())
    return _BYTES_PER_VALUE + (sum(map(size_of, value)) if isinstance(value, list) else 0)


_OBJECTS = (dict, Mapping)
_CONTAINERS = (list, tuple, *_OBJECTS)
"""`dict` is first, because the check against Mapping takes much longer."""


class _Flaw(Exception):
    """Why a value cannot be stored, and the steps of its path from the innermost one outwards.

    The path is put together only for an error, because texts for the paths of all values would take most of the time.
    """

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what
        self.steps: list[str] = []


class _Walk:
    """One walk through a content, which copies it and adds up its size."""

    def __init__(self) -> None:
        self.size = 0

    def copy_of_object(self, value: object, level: int) -> dict[str, Any]:
        if not isinstance(value, _OBJECTS):
            raise _Flaw(f"a JSON object is expected, not {type_in_words(value)}")
        copy: dict[str, Any] = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise _Flaw(f"the key {repr(key)[:100]} is not a text")
            name = self._text(key, "a key has ")
            try:
                copy[name] = self._copy(item, level + 1)
            except _Flaw as flaw:
                flaw.steps.append(_step(name))
                raise
        return copy

    def _copy(self, value: object, level: int) -> Any:
        self._add(_BYTES_PER_VALUE)
        if isinstance(value, str):
            return self._text(value)
        if value is None or value is True or value is False:
            return value
        if isinstance(value, int):
            if not _MIN_INTEGER <= value <= _MAX_INTEGER:
                raise _Flaw("an integer beyond 64 bits")
            return int(value)
        if isinstance(value, float):
            if not math.isfinite(value):
                raise _Flaw(f"{float(value)} is not a finite number")
            return float(value) + 0.0  # -0.0 becomes 0.0: PostgreSQL has only one zero
        if not isinstance(value, _CONTAINERS):
            raise _Flaw(f"a JSON value is expected, not {type_in_words(value)}")
        if level > MAX_LEVELS:
            raise _Flaw(f"more than {MAX_LEVELS} levels")
        return (
            self._copy_of_list(value, level) if isinstance(value, list | tuple) else self.copy_of_object(value, level)
        )

    def _copy_of_list(self, values: list[Any] | tuple[Any, ...], level: int) -> list[Any]:
        copy: list[Any] = []
        for item in values:
            try:
                copy.append(self._copy(item, level + 1))
            except _Flaw as flaw:
                flaw.steps.append(f"[{len(copy)}]")
                raise
        return copy

    def _text(self, text: str, whose: str = "") -> str:
        if type(text) is str and text.isascii() and "\0" not in text:
            self._add(len(text))
            return text
        found = _UNSTORABLE.search(text)
        if found:
            what = "NUL" if found.group() == "\0" else f"the lone surrogate {found.group()!r}"
            raise _Flaw(f"{whose}{what} at position {found.start()}")
        self._add(_bytes_of(text))
        return _plain(text)

    def _add(self, size: int) -> None:
        self.size += size
        if self.size > MAX_CONTENT_BYTES:
            raise _Flaw(f"the content exceeds {MAX_CONTENT_BYTES >> 20} MiB here")


def _step(key: str) -> str:
    return f".{key}" if _SIMPLE_KEY.fullmatch(key) else f"[{json.dumps(key[:100])}]"


def _bytes_of(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


def _plain(text: str) -> str:
    """The text without its subclass. `str()` of an Enum's member would be its name."""
    return text if type(text) is str else str.__str__(text)


def _text(value: object, field: str, longest: int, shortest: int = 1) -> str:
    if not isinstance(value, str):
        raise _invalid(field, f"a text is expected, not {type_in_words(value)}")
    if not shortest <= len(value) <= longest:
        length = f"it has {len(value):,} characters" if value else "it is empty"
        raise InvalidThreadData(what=f"{field}: {length}. It can have {shortest} to {longest:,} characters.")
    if _UNSTORABLE.search(value):
        raise _invalid(field, "NUL or a lone surrogate")
    return _plain(value)


def _invalid(path: str, what: str) -> InvalidThreadData:
    shown = path if len(path) <= 300 else f"{path[:300]}…"
    return InvalidThreadData(what=f"{shown}: {what}. It cannot be stored.")
