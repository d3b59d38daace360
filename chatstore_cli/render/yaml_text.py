"""YAML text of the values that the JSON output has, safe on a terminal. Imported only for `-o yaml`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import yaml

from chatstore_cli.render.json_text import as_json
from chatstore_cli.render.safe import UNSAFE

_NOT_IN_PLAIN_TEXT = re.compile(UNSAFE.pattern.replace("\x00-\x1f", "\x00-\x09\x0b-\x1f"))
"""Control characters other than the line break. Text that has one is written in double quotes."""

_LIKE_A_NUMBER_OR_TRUTH = re.compile(r"[-+.]*[0-9][0-9a-fA-FxXoO_.:+-]*|[yYnN]")
"""Text that PyYAML reads as text and other readers take for a number or a boolean: `1e5`, `0o17`, `y`."""

_BATCH_SIZE = 50
"""Rows that are written at a time."""


class _Dumper(yaml.SafeDumper):
    """Writes JSON values without tags. Equal values are repeated, without anchors and aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = None
    # After a block that ends with an empty line, PyYAML ends the document, and no further rows can follow.
    if _NOT_IN_PLAIN_TEXT.search(text) or text == "\n" or text.endswith("\n\n"):
        style = '"'
    elif "\n" in text:
        style = "|"
    elif _LIKE_A_NUMBER_OR_TRUTH.fullmatch(text):
        style = "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def as_yaml(value: Any, *, document: bool = False) -> str:
    """YAML text of any value. It reads back as the value that `as_json` writes, with keys in the same order.

    A `document` begins with `---`, so that several can follow each other in one stream.
    """
    text = yaml.dump(
        json.loads(as_json(value, indented=False)),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=math.inf,
        explicit_start=document,
    )
    # PyYAML writes bidirectional overrides as they are. Only text in double quotes has any: there an escape means the same.
    return _NOT_IN_PLAIN_TEXT.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def yaml_list(rows: Iterable[Any]) -> Iterator[str]:
    """A list in pieces of some rows each, as the rows come."""
    source = iter(rows)
    is_empty = True
    while batch := list(islice(source, _BATCH_SIZE)):
        yield as_yaml(batch)
        is_empty = False
    if is_empty:
        yield "[]\n"


def _no_next_page() -> dict[str, Any]:
    return {"next_cursor": None}


def yaml_items(rows: Iterable[Any], ending: Callable[[], dict[str, Any]] = _no_next_page) -> Iterator[str]:
    """The object `{items: [...], next_cursor: ...}` in pieces, as the rows come. `ending` is called after the last one."""
    separator = "items:\n"
    for piece in yaml_list(rows):
        yield ("items: " if piece == "[]\n" else separator) + piece
        separator = ""
    yield as_yaml(ending())
