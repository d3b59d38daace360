"""Documents of data in YAML or JSON. They have plain values alone, and what reading them can cost is bounded."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from chatstore_cli.domain.errors import WrongUse

MOST_BYTES = 16 << 20
"""Bytes of a document."""
MOST_LEVELS = 100
"""Levels of objects and lists."""

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_MOST_DIGITS = 400
_CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


def read_document(text: str, label: str) -> Any:
    """The value of a document. `label` names it in errors, which have the line.

    Only true, false, null and JSON numbers are not text: `yes`, `0049`, `+49` and `2026-03-02` are text, and keys are
    always text. Raises WrongUse for what is not YAML, for tags, anchors and aliases, and for a key that an object has twice.
    """
    if len(text) > MOST_BYTES:
        raise WrongUse(what=f"{label} has more than {MOST_BYTES >> 20} MiB.")
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_reject)
    except (ValueError, TypeError, RecursionError):
        pass  # as YAML, which includes JSON, it is read with lines
    try:
        return _Reader(label).read(text)
    except yaml.YAMLError as error:
        reason = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
        raise WrongUse(what=f"{label}, line {line_of(error, text)}: not YAML or JSON: {reason}.") from error


def scalar(text: str) -> Any:
    """The value of one word of a document without quotes."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if len(text) <= _MOST_DIGITS and _NUMBER.fullmatch(text):
        return json.loads(text)
    return text


def line_of(error: Exception, text: str) -> int:
    """The line of an error of PyYAML."""
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return int(mark.line) + 1
    position = getattr(error, "position", None)  # of a character that YAML does not allow
    return text.count("\n", 0, position) + 1 if isinstance(position, int) else 1


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key twice")
    return found


def _reject(constant: str) -> Any:
    raise ValueError(constant)


class _Reader:
    """Makes the value from the parser's events, one after the other, so that no depth exhausts the stack."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._open: list[dict[str, Any] | list[Any]] = []
        self._keys: list[str | None] = []
        """For each open object the key whose value follows; None in a list, and before a key."""
        self._value: Any = None
        self._has_value = False

    def read(self, text: str) -> Any:
        event: Any
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            line = event.start_mark.line + 1
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
                raise self._error(line, "anchors (&) and aliases (*) are not allowed. Write the value itself")
            if getattr(event, "tag", None) is not None:
                raise self._error(line, f"tags are not allowed: {event.tag}")
            if isinstance(event, yaml.ScalarEvent):
                self._add(event, event.value if event.style else scalar(event.value), line)
            elif isinstance(event, yaml.CollectionStartEvent):
                self._enter({} if isinstance(event, yaml.MappingStartEvent) else [], event, line)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._open.pop()
                self._keys.pop()
            elif isinstance(event, yaml.DocumentStartEvent) and self._has_value:
                raise self._error(line, "a second document begins. Give one")
        return self._value

    def _enter(self, collection: dict[str, Any] | list[Any], event: Any, line: int) -> None:
        if len(self._open) == MOST_LEVELS:
            raise self._error(line, f"more than {MOST_LEVELS} objects and lists are inside each other")
        self._add(event, collection, line)
        self._open.append(collection)
        self._keys.append(None)

    def _add(self, event: Any, value: Any, line: int) -> None:
        if not self._open:
            self._value, self._has_value = value, True
            return
        parent, key = self._open[-1], self._keys[-1]
        if isinstance(parent, list):
            parent.append(value)
        elif key is not None:
            parent[key] = value
            self._keys[-1] = None
        elif not isinstance(event, yaml.ScalarEvent):
            raise self._error(line, "a key is a list or an object")
        elif event.value in parent:
            raise self._error(line, f"the key {json.dumps(event.value[:100])} is there twice")
        else:
            self._keys[-1] = event.value

    def _error(self, line: int, what: str) -> WrongUse:
        return WrongUse(what=f"{self._label}, line {line}: {what}.")
