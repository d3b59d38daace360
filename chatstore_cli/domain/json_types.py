"""The type of a value in words, for errors about JSON, YAML and arguments of the library."""

from __future__ import annotations

_WORDS: dict[type, str] = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "null",
}


def type_in_words(value: object) -> str:
    """The type as JSON names it, such as `a list`; for other types their names in Python."""
    return _WORDS.get(type(value), type(value).__name__)
