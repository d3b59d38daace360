"""Where a text has personal data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Span(NamedTuple):
    """A part of a text. Spans with the same `kind` and `key` are the same value, however it is written."""

    start: int
    end: int
    kind: str
    key: str


def blanked(text: str, spans: Iterable[Span]) -> str:
    """The text with NUL characters in place of the spans, so that nothing is found there again. Positions do not change."""
    pieces = []
    end = 0
    for span in sorted(spans):
        pieces += [text[end : span.start], "\0" * (span.end - span.start)]
        end = span.end
    return "".join([*pieces, text[end:]]) if pieces else text
