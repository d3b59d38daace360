"""The condition on stored messages that lets every message pass that can have a hit, for the server.

A message has its text at any depth: in the content, in the parts of it, in the arguments of tool calls. Paths of a query
do not reach values whose keys are unknown, and `$regexMatch` raises an error for text that is not valid UTF-8. A schema
reaches every value, whatever its type and its keys, and never raises an error. The schema here describes the messages that
can have no hit, because no stored text matches the pattern; the condition is that a message does not meet it.

Patterns without regard to case find the letters outside ASCII too, because MongoDB reads them as UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from chatstore_cli.domain.search.models import TextFilter

Document = dict[str, Any]

LEVELS = 4
"""Levels of values inside values that the schema describes. A message with more of them passes: its text is not known.

The arguments of a tool call are four levels below `tool_calls`. Each level doubles what the server has to compile.
"""

_VALID_TEXT = "(*UTF8)^(?!uuid=UUID[(])"
"""Every text matches it, except a text that is not UTF-8, and the debug text of an event, which is read in another form."""

_NUMBERS = ("int", "long", "double", "decimal")
_LETTERS_OF_NUMBERS = frozenset("einfatyEINFATY")
"""Numbers are written as 1.5e+16, and some as inf, nan or Infinity."""
_IN_PATTERN = re.compile(r"\.\{1,12\}|\\\\u[0-9a-f]{4}")
"""Parts of a pattern (core/search/patterns.py) whose letters are not those of the text."""

_OTHER_TYPES = (
    "binData", "undefined", "objectId", "date", "regex", "dbPointer", "javascript", "symbol", "javascriptWithScope",
    "timestamp", "minKey", "maxKey",
)  # fmt: skip
"""Values whose text is not stored."""
_WITHOUT_TEXT = "none true false"
"""Null and booleans have no text, except in the content of calls, where Python's text of them counts."""


def conditions(text: TextFilter, not_searched: Iterable[str], place: Callable[[Document], Document]) -> list[Document]:
    """The conditions, all of which a document with a message that can have a hit meets; none if every message can.

    `not_searched` are the fields of a message that are not part of its text. `place` returns the schema of the document
    for that of a message.
    """
    fields = tuple(not_searched)
    return [{"$nor": [{"$jsonSchema": place(_without_hit(pattern, fields))}]} for pattern in text.patterns]


def in_array(field: str) -> Callable[[Document], Document]:
    """The place of messages that are the elements of an array."""
    return lambda message: {"properties": {field: {"items": message}}}


def in_field(field: str) -> Callable[[Document], Document]:
    """The place of a message that is the value of a field."""
    return lambda message: {"properties": {field: message}}


def _without_hit(pattern: str, not_searched: tuple[str, ...]) -> Document:
    """The schema of a message in which no text matches."""
    stored = f"(*UTF8)(?is){pattern}"
    unknown = [*_OTHER_TYPES, *(_NUMBERS if _may_be_number(pattern) else ())]
    if re.search(pattern, _WITHOUT_TEXT, re.IGNORECASE):
        unknown += ["null", "bool"]
    fields: Document = {name: {} for name in not_searched}
    # A field that is not part of the text has any type. Text in fields that are not known here is searched too.
    other_fields = _value(stored, unknown, LEVELS) | {"not": _of_text(stored)}
    return {
        **_value(stored, unknown, 1),  # a message that is not an object
        "properties": {**fields, "content": _value(stored, unknown, LEVELS)},
        "additionalProperties": other_fields,
    }


def _value(stored: str, unknown: list[str], levels: int) -> Document:
    """The schema of a value in which no text matches. Each keyword is about one type of value, and ignores the others."""
    if not levels:
        return {
            "not": {"anyOf": [_of_text(stored), {"bsonType": [*unknown, "object", "array"]}]},
            "pattern": _VALID_TEXT,
        }
    inner = _value(stored, unknown, levels - 1)
    return {
        "not": {"anyOf": [_of_text(stored), {"bsonType": unknown}]},
        "pattern": _VALID_TEXT,
        "items": inner,
        "additionalProperties": inner,
    }


def _of_text(stored: str) -> Document:
    return {"bsonType": "string", "pattern": stored}


def _may_be_number(pattern: str) -> bool:
    """Whether the text of a number may match: letters that no number has must be in the text."""
    letters = filter(str.isalpha, _IN_PATTERN.sub("", pattern))
    return _LETTERS_OF_NUMBERS.issuperset(letters)
