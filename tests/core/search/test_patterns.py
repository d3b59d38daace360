"""The patterns that servers filter by match every text that has a hit: also in JSON, in other case, composed or not."""

from __future__ import annotations

import json
import re
import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from chatstore_cli.core.search.matcher import Matcher
from chatstore_cli.core.search.patterns import patterns_of
from chatstore_cli.domain.errors import BadValue, WrongUse
from chatstore_cli.domain.search.models import SearchMode, SearchQuery
from tests.core.search.test_matcher import LETTERS

letters = "".join(set(LETTERS) - set("ſ\u212a"))
texts = st.one_of(st.text(letters, max_size=12), st.text(max_size=8))


def variants(text: str) -> list[str]:
    forms = [text, text.upper(), text.title(), unicodedata.normalize("NFD", text), unicodedata.normalize("NFC", text)]
    return [*forms, *(json.dumps(form) for form in forms), *(json.dumps(form, ensure_ascii=False) for form in forms)]


@given(texts, texts, st.sampled_from([SearchMode.WORDS, SearchMode.SUBSTRING]), st.booleans())
@example("Köln", "in köln", SearchMode.WORDS, False)
@example("ǆ", "ǅ", SearchMode.WORDS, False)
@example("환불", "환불", SearchMode.WORDS, False)
@example("q\u0323\u0307", "q\u0307\u0323", SearchMode.SUBSTRING, False)
@example('say "hi"\tyou', 'say "hi"\tyou', SearchMode.SUBSTRING, False)
def test_what_matches_passes_the_filter(query: str, text: str, mode: SearchMode, case: bool) -> None:
    for whole in (text, f"x {query} y", query):
        try:
            matcher = Matcher(SearchQuery(query, mode, case))
        except (BadValue, WrongUse):  # no text to search for
            return
        for stored in variants(whole):
            try:
                found = json.loads(stored) if stored.startswith('"') else stored
            except ValueError:
                found = stored
            if matcher.find(found) is not None:
                for pattern in matcher.filter.patterns:
                    assert re.search(pattern, stored, re.IGNORECASE), (pattern, stored)


def test_patterns_are_selective() -> None:
    assert patterns_of(["order"]) == ("order",)
    (pattern,) = patterns_of(["köln"])
    assert re.search(pattern, "K\\u00f6ln", re.IGNORECASE)
    assert not re.search(pattern, "Kiln", re.IGNORECASE)
    assert patterns_of(["!?", "a\nb"]) == ("a", "b")
    assert all(len(pattern) < 30_000 for pattern in patterns_of(["ṩ" * 1000, "返" * 1000, "x" * 1000]))
