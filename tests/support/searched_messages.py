"""Stored messages with text in every place and of every type, and what a search finds in them without any filter."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import bson
from bson import Binary, Code, Decimal128, Int64, ObjectId, Regex
from bson.raw_bson import RawBSONDocument

from chatstore_cli.core.search.matcher import Matcher
from chatstore_cli.core.search.message_text import message_text
from chatstore_cli.core.search.scanning import ScanningSearcher
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.search.models import SearchMode, SearchQuery, TextFilter
from chatstore_cli.domain.search.ports import MessageSearcher
from chatstore_cli.domain.session_reader import SessionReader

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
FILTERED = (
    SearchQuery("pizza", tenant_id="acme"),
    SearchQuery("pizza", user_id="u1", role="user"),
    SearchQuery("pizza", session_id="t3"),
    SearchQuery("pizza", since=NOON - timedelta(minutes=90), until=NOON - timedelta(minutes=20)),
)
"""Searches of sessions that are ten minutes apart, the newest at noon."""

QUERIES = (
    SearchQuery("pizza"),
    SearchQuery("PIZZA oven"),
    SearchQuery("cr\u00e8me"),
    SearchQuery("stra\u00dfe"),
    SearchQuery("kelvin mask"),
    SearchQuery("42"),
    SearchQuery("1.5"),
    SearchQuery("inf"),
    SearchQuery("null"),
    SearchQuery("2026"),
    SearchQuery("65e1a0b2c3d4e5f601234567"),
    SearchQuery("pizza", match_case=True),
    SearchQuery("zza ov", mode=SearchMode.SUBSTRING),
    SearchQuery("a.b$", mode=SearchMode.SUBSTRING),
    SearchQuery("\u62ab\u8428", mode=SearchMode.SUBSTRING),
    SearchQuery("line\nbreak", mode=SearchMode.SUBSTRING),
    SearchQuery("p.zza|4+2", mode=SearchMode.REGEX),
)

_TEXTS = (
    "Pizza from the oven", "a pizzaoven", "cre\u0300me", "Cr\u00c8me br\u00fbl\u00e9e", "Stra\u00dfe", "STRASSE", "\u212aelvin's ma\u017fk",
    "42", "1.5", "null", "the 2026 plan", "\u6211\u60f3\u8981\u62ab\u8428", "a.b$c", "line\nbreak", "a\tpizza\n", "", " ",
    "uuid=UUID('0b2c1b6e-0a4c-4b7e-9a55-6f1f1c2d3e4f') content='caf\\xe9 pizza\\nline' sender='A' recipient='B'",
    "data:image/png;base64,cGl6emE=", "pizza" * 200, "\U0001f355pizza", "pizza\U0001f355", "not at all", "65e1a0b2c3d4e5f601234567",
)  # fmt: skip
_SCALARS: tuple[Any, ...] = (
    None, True, False, 42, Int64(42), 42.0, 1.5, Decimal128("1.5"), float("inf"), float("nan"), 1e300,
    datetime(2026, 3, 2, tzinfo=UTC), ObjectId("65e1a0b2c3d4e5f601234567"), Binary(b"pizza"), Code("pizza"), Regex("pizza"),
)  # fmt: skip
_KEYS = ("text", "type", "a.b", "$c", "", "pizza", "arguments", "input", "query")


def content(dice: random.Random) -> Any:
    """Any content: a text, a list of parts, or a value of another type."""
    kind = dice.randrange(6)
    if kind < 2:
        return dice.choice(_TEXTS)
    if kind == 2:
        return dice.choice(_SCALARS)
    if kind == 3:
        return [_part(dice) for _ in range(dice.randrange(4))]
    return _value(dice, dice.randrange(8))


def _part(dice: random.Random) -> Any:
    text = dice.choice(_TEXTS)
    return dice.choice(
        [
            text,
            {"type": "text", "text": text},
            {"type": "tool_result", "content": [{"type": "text", "text": text}]},
            {"type": "tool_use", "name": text, "input": _value(dice, 2)},
            {"type": "image_url", "image_url": {"url": f"https://example.com/{text}"}},
            {"type": text, "other": dice.choice(_SCALARS)},
        ]
    )


def _value(dice: random.Random, levels: int) -> Any:
    if not levels:
        return dice.choice(_TEXTS) if dice.random() < 0.7 else dice.choice(_SCALARS)
    if dice.random() < 0.4:
        return [_value(dice, levels - 1) for _ in range(dice.randrange(1, 3))]
    return {dice.choice(_KEYS): _value(dice, levels - 1) for _ in range(dice.randrange(1, 3))}


def tool_calls(dice: random.Random) -> Any:
    """The calls of tools in a message: none, usual ones, with arguments as JSON or not, or another value."""
    if dice.random() < 0.6:
        return None
    # An escaped sign for kelvin is not found: core/search/patterns.py
    text = dice.choice([each for each in _TEXTS if "\u212a" not in each])
    arguments = {"q": text, "n": dice.choice([42, 1.5, None, True])}
    kept = dice.choice([arguments, json.dumps(arguments), json.dumps(arguments, ensure_ascii=False), "{pizza"])
    calls = [{"id": "c", "type": "function", "function": {"name": dice.choice(_TEXTS), "arguments": kept}}]
    return dice.choice([calls, calls, calls, _value(dice, 2)])


def message(dice: random.Random, number: int, at: datetime) -> Any:
    """A stored message, now and then of a strange form."""
    if dice.random() < 0.03:
        return dice.choice([*_TEXTS, *_SCALARS, [dice.choice(_TEXTS)]])
    stored: dict[str, Any] = {
        "event_id": f"e{number}",
        "role": dice.choice(["user", "assistant"]),
        "content": content(dice),
    }
    stored |= {"timestamp": at, "sequence": number, "metadata": {"note": "pizza 42"}}
    if (calls := tool_calls(dice)) is not None:
        stored["tool_calls"] = calls
    rare = dice.choice([None, None, "function_call", "refusal", "parts", "reasoning_content"])
    if rare is not None:
        text = dice.choice(_TEXTS)
        stored[rare] = {"function_call": {"name": text, "arguments": "{}"}, "parts": [{"text": text}]}.get(rare, text)
        stored["content"] = dice.choice([None, "", stored["content"]])
    return stored


def with_invalid_text(document: dict[str, Any]) -> RawBSONDocument:
    """The document, with bytes that are not UTF-8 in place of each `(invalid)`."""
    return RawBSONDocument(bson.encode(document).replace(b"(invalid)", b"\xff\xfe(bad)\xc3("))


Hits = list[tuple[str, str]]
"""Session id and message, as texts and in order, of what a search finds."""


def hits(candidates: Iterable[Message], query: SearchQuery) -> Hits:
    """Those of the messages that the matcher chooses."""
    matcher = Matcher(query)
    return sorted((each.session_id, repr(each)) for each in candidates if matcher.find(message_text(each)))


def found(searcher: MessageSearcher, query: SearchQuery) -> Hits:
    """What a searcher finds."""
    steps = searcher.steps(query, Matcher(query).filter)
    return hits((each.message for step in steps for each in step.candidates), query)


def assert_same_hits(searcher: MessageSearcher, reader: SessionReader, queries: Iterable[SearchQuery] = QUERIES) -> int:
    """Fail unless a searcher finds for each query what reading every message finds. Returns the number of hits."""
    everything = [
        each.message
        for step in ScanningSearcher(reader).steps(SearchQuery("x"), TextFilter())
        for each in step.candidates
    ]
    expected = {query: hits(everything, query) for query in queries}
    for query in expected:
        assert found(searcher, query) == expected[query], query
    return sum(map(len, expected.values()))
