"""Checks of the values of saved agents, made before any store. Each raises InvalidAgent, with the documented message if there is one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from uuid import UUID

from chatstore_cli.domain.errors import BadValue, InvalidAgent
from chatstore_cli.domain.json_types import type_in_words

Result = TypeVar("Result")

MAX_NAME, MAX_DESCRIPTION = 128, 2_048
"""Characters."""
MAX_OWNER = 500
"""Characters of the id of a tenant or a user, and of the key of an agent of lyzr-agent."""
MAX_LEVELS = 100
"""Levels of objects and lists in a configuration."""
MAX_CONFIG_BYTES = 12 * 1024 * 1024
LARGEST_PAGE = 200

_AGENT_ID = re.compile(r"[0-9a-fA-F]{24}")
_SIMPLE_KEY = re.compile(r"[A-Za-z0-9_$-]{1,100}")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_WHITE_SPACE = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f"
    "\u3000\ufeff"
)
"""What the platform's `trim()` removes. Python's `strip()` removes other characters."""
_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**63 - 1
_SMALL_INTEGERS = range(-(2**31), 2**31)


def checked_agent_id(agent_id: object) -> str:
    """The id of an agent in lower case."""
    if not isinstance(agent_id, str) or not _AGENT_ID.fullmatch(agent_id):
        raise InvalidAgent(
            what="agentId must be a valid Mongo ObjectId",
            hint="It has 24 hexadecimal digits. To list agents, run: chatstore agents list.",
        )
    return agent_id.lower()


def checked_version_id(version_id: object) -> str:
    """The id of a version, as it is stored."""
    try:
        if isinstance(version_id, str) and str(UUID(version_id)) == version_id.lower():
            return version_id
    except ValueError:
        pass
    raise InvalidAgent(
        what="versionId must be a valid UUID", hint="To list versions, run: chatstore agents history AGENT_ID."
    )


def checked_name(name: object, field: str = "name") -> str:
    """The name of an agent without the white space around it."""
    if not isinstance(name, str):
        raise InvalidAgent(what=f"{field}: a text is expected, not {type_in_words(name)}")
    if not name:
        raise InvalidAgent(what=f"{field} is required", hint=f"A name has 1 to {MAX_NAME} characters.")
    trimmed = _plain(name).strip(_WHITE_SPACE)
    if not trimmed:
        raise InvalidAgent(what="Agent name cannot be empty" if field == "name" else f"{field} is required")
    return _storable(_not_longer(trimmed, field, MAX_NAME), field)


def checked_description(description: object, field: str = "description") -> str | None:
    """The description of an agent, or None."""
    if description is None:
        return None
    if not isinstance(description, str):
        raise InvalidAgent(what=f"{field}: a text is expected, not {type_in_words(description)}")
    return _storable(_not_longer(_plain(description), field, MAX_DESCRIPTION), field)


def checked_owner(owner: object, field: str) -> str | None:
    """The id of a tenant or a user, or None. An empty one is rejected, because it is most likely an unset variable."""
    return None if owner is None else checked_key(owner, field)


def checked_key(key: object, field: str = "agent_id") -> str:
    """The key of an agent of lyzr-agent: any text."""
    if not isinstance(key, str):
        raise InvalidAgent(what=f"{field}: a text is expected, not {type_in_words(key)}")
    if not key:
        raise InvalidAgent(what=f"{field} is required")
    return _storable(_not_longer(_plain(key), field, MAX_OWNER), field)


def checked_limit(limit: int) -> int:
    """The number of agents on a page."""
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= LARGEST_PAGE:
        raise BadValue(name="--limit", value=limit, expected=f"from 1 to {LARGEST_PAGE}")
    return limit


def checked_config(config: object, path: str = "config") -> dict[str, Any]:
    """A copy of a configuration that consists of JSON values only. Keys such as `$set`, `a.b` and `__proto__` are allowed."""
    return _checked(lambda: _Walk("configuration").copy_of_object(config, 1), path)


def checked_value(value: object, path: str, whole: str, *, level: int) -> Any:
    """A copy of a JSON value. It is part of the thing that `whole` names, inside `level` of its objects and lists."""
    return _checked(lambda: _Walk(whole).copy_of(value, level), path)


def _checked(copy: Callable[[], Result], path: str) -> Result:
    try:
        return copy()
    except _Flaw as flaw:
        where = path + "".join(reversed(flaw.steps))
        shown = where if len(where) <= 300 else f"{where[:300]}…"
        raise InvalidAgent(what=f"{shown}: {flaw.what}.") from None


class _Flaw(Exception):
    """Why a value cannot be stored, and the steps of its path from the innermost one outwards."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what
        self.steps: list[str] = []


class _Walk:
    """One walk through a configuration or another value, which copies it and adds up its size in MongoDB."""

    def __init__(self, whole: str) -> None:
        self._whole = whole
        self._size = 0

    def copy_of_object(self, value: object, level: int) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise _Flaw(f"an object is expected, not {type_in_words(value)}")
        self._enter(level)
        copy: dict[str, Any] = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise _Flaw(f"the key {repr(key)[:100]} is not a text")
            name = _plain(key)
            if "\0" in name or _LONE_SURROGATE.search(name):
                raise _Flaw(f"the key {json.dumps(name[:100])} has NUL or a lone surrogate")
            self._add(_bytes_of(name) + 2)
            try:
                copy[name] = self.copy_of(item, level)
            except _Flaw as flaw:
                flaw.steps.append(path_step(name))
                raise
        return copy

    def _copy_of_list(self, values: list[Any] | tuple[Any, ...], level: int) -> list[Any]:
        self._enter(level)
        copy: list[Any] = []
        for item in values:
            self._add(len(str(len(copy))) + 2)
            try:
                copy.append(self.copy_of(item, level))
            except _Flaw as flaw:
                flaw.steps.append(path_step(len(copy)))
                raise
        return copy

    def copy_of(self, value: object, level: int) -> Any:
        """A copy of a value that is inside `level` objects and lists."""
        if isinstance(value, str):
            text = _plain(value)
            if _LONE_SURROGATE.search(text):
                raise _Flaw("the text has a lone surrogate")
            self._add(_bytes_of(text) + 5)
            return text
        if value is None:
            return None
        if isinstance(value, bool):
            self._add(1)
            return bool(value)
        if isinstance(value, int):
            if not _MIN_INTEGER <= value <= _MAX_INTEGER:
                raise _Flaw("an integer beyond 64 bits")
            self._add(4 if value in _SMALL_INTEGERS else 8)
            return int(value)
        if isinstance(value, float):
            self._add(8)
            return float(value)
        if isinstance(value, Mapping):
            return self.copy_of_object(value, level + 1)
        if isinstance(value, list | tuple):
            return self._copy_of_list(value, level + 1)
        raise _Flaw(f"a JSON value is expected, not {type_in_words(value)}")

    def _enter(self, level: int) -> None:
        if level > MAX_LEVELS:
            raise _Flaw(f"the {self._whole} has more than {MAX_LEVELS} levels here")
        self._add(5)

    def _add(self, size: int) -> None:
        self._size += size
        if self._size > MAX_CONFIG_BYTES:
            raise _Flaw(f"the {self._whole} exceeds {MAX_CONFIG_BYTES >> 20} MiB here")


def path_step(key: str | int) -> str:
    """A key or a place in a list as a part of a path, for example `.tools`, `["a b"]` or `[3]`."""
    if isinstance(key, int):
        return f"[{key}]"
    return f".{key}" if _SIMPLE_KEY.fullmatch(key) else f"[{json.dumps(key[:100])}]"


def _not_longer(text: str, field: str, longest: int) -> str:
    if len(text) > longest:
        raise InvalidAgent(what=f"{field} must be {longest:,} characters or less")
    return text


def _storable(text: str, field: str) -> str:
    if _LONE_SURROGATE.search(text):
        raise InvalidAgent(what=f"{field}: the text has a lone surrogate")
    return text


def _bytes_of(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


def _plain(text: str) -> str:
    """The text without its subclass. `str()` of an Enum's member would be its name."""
    return text if type(text) is str else str.__str__(text)
