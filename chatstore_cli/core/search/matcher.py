"""The one matcher: decides whether a text has a hit, and where. Indexes and filters only find candidates for it."""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import NamedTuple

from chatstore_cli.core.search.normal_form import NormalForm
from chatstore_cli.core.search.patterns import patterns_of
from chatstore_cli.core.search.words import SEPARATOR, small_letters, words_of
from chatstore_cli.domain.errors import BadValue, WrongUse
from chatstore_cli.domain.search.models import SearchMode, SearchQuery, TextFilter

LONGEST_TEXT = 1000
"""Characters that a text to search for can have. MongoDB limits the length of a pattern."""
MOST_OFFSETS = 100
"""Hits in one message that are reported."""

Spans = Iterator[tuple[int, int]]


class Match(NamedTuple):
    """The hits in a text: beginnings and ends in characters. With `more` there are more than MOST_OFFSETS."""

    offsets: tuple[tuple[int, int], ...]
    more: bool


class Matcher:
    """Compares texts with one query."""

    def __init__(self, query: SearchQuery) -> None:
        """Raises BadValue and WrongUse for a text that cannot be searched for."""
        _require_text(query.text)
        self._form: Callable[[str], str] = str if query.match_case else small_letters
        self._spans: list[Callable[[str], Spans]]
        if query.mode is SearchMode.REGEX:
            pattern = _compiled(query)
            self._form = str  # the pattern itself ignores case
            self._spans = [partial(_matches, pattern)]
            self.filter = TextFilter()
        elif query.mode is SearchMode.SUBSTRING:
            part = self._form(unicodedata.normalize("NFC", query.text))
            self._spans = [partial(_parts, part)]
            self.filter = TextFilter(patterns=patterns_of([query.text]))
        else:
            words = list(dict.fromkeys(map(self._form, words_of(query.text))))
            if not words:
                raise WrongUse(
                    what=f"The text {query.text!r} has no words to search for.",
                    hint="Give at least one word, or search for these characters with --substring.",
                )
            self._spans = [partial(_whole_words, word) for word in words]
            self.filter = TextFilter(tuple(dict.fromkeys(map(small_letters, words))), patterns_of(words))

    def find(self, stored: str) -> Match | None:
        """The hits in a text; None if it does not match. Of several words, each must be in the text."""
        normal = NormalForm(stored)
        text = self._form(normal.text)
        found: list[tuple[int, int]] = []
        more = False
        for spans in self._spans:
            hits = list(islice(spans(text), MOST_OFFSETS + 1))
            if not hits:
                return None
            more = more or len(hits) > MOST_OFFSETS
            found += hits[:MOST_OFFSETS]
        found.sort()
        offsets = tuple(normal.stored_span(*span) for span in found[:MOST_OFFSETS])
        return Match(offsets, more or len(found) > MOST_OFFSETS)


def _require_text(text: str) -> None:
    if not text.strip():
        raise WrongUse(
            what="The text to search for is empty.", hint="Give a word, for example: chatstore search refund"
        )
    if len(text) > LONGEST_TEXT:
        what = f"The text to search for has {len(text):,} characters; the limit is {LONGEST_TEXT:,}."
        raise WrongUse(what=what, hint="Search for a few of its words.")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise WrongUse(what="The text to search for is not valid UTF-8.", hint="Give it in UTF-8.")


def _compiled(query: SearchQuery) -> re.Pattern[str]:
    flags = re.MULTILINE | (re.NOFLAG if query.match_case else re.IGNORECASE)
    try:
        with warnings.catch_warnings(action="ignore"):
            return re.compile(query.text, flags)
    except re.error as error:
        where = "" if error.pos is None else f" at character {error.pos + 1}"
        expected = f"a regular expression of Python: {error.msg}{where}"
        raise BadValue(name="TEXT", value=query.text, expected=expected) from error
    except (OverflowError, RecursionError) as error:
        raise BadValue(name="TEXT", value=query.text, expected="a regular expression that Python can read") from error


def _matches(pattern: re.Pattern[str], text: str) -> Spans:
    """Where the pattern matches at least one character."""
    return (match.span() for match in pattern.finditer(text) if match.end() > match.start())


def _parts(part: str, text: str) -> Spans:
    start = text.find(part)
    while start >= 0:
        yield start, start + len(part)
        start = text.find(part, start + len(part))


def _whole_words(word: str, text: str) -> Spans:
    start = text.find(word)
    while start >= 0:
        end = start + len(word)
        if end == len(text) or SEPARATOR.match(text, end):
            if start == 0 or SEPARATOR.match(text, start - 1):
                yield start, end
        else:  # the rest of a longer word has no hit
            following = SEPARATOR.search(text, end)
            end = len(text) if following is None else following.start()
        start = text.find(word, end)
