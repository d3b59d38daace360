"""The meaning of a search: which texts match, and where. A naive model says the same of any text."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chatstore_cli.core.search.matcher import MOST_OFFSETS, Matcher
from chatstore_cli.core.search.words import SEPARATOR, has_script_without_spaces, small_letters, words_of
from chatstore_cli.domain.errors import BadValue, WrongUse
from chatstore_cli.domain.search.models import SearchMode, SearchQuery

LETTERS = "aAbß.ẞé\u0301E,_ -ſsKk\u212a'ệ\u0323\u0302İıi1🍕가\u1100\u1161\u11a8Σσς\u00e5\u212b\n"
texts = st.one_of(st.text(LETTERS, max_size=12), st.text(max_size=8))


def matcher(text: str, mode: SearchMode = SearchMode.WORDS, *, case: bool = False) -> Matcher:
    return Matcher(SearchQuery(text, mode, case))


def marked(text: str, query: str, mode: SearchMode = SearchMode.WORDS, *, case: bool = False) -> list[str] | None:
    match = matcher(query, mode, case=case).find(text)
    return None if match is None else [text[start:end] for start, end in match.offsets]


@pytest.mark.parametrize(
    ("query", "text", "expected"),
    [
        ("order", "My Order, please: ORDER!", ["Order", "ORDER"]),
        ("order", "reorder orders order_id", None),
        ("order late", "late is my order", ["late", "order"]),
        ("order late", "my order", None),
        ("cafe", "café", None),
        ("café", "cafe\u0301 CAFÉ Cafe\u0301s", ["cafe\u0301", "CAFÉ"]),
        ("cafe\u0301", "ein café", ["café"]),
        ("don't", "don’t", ["don", "t"]),
        ("4711", "order-4711/a", ["4711"]),
        ("straße", "STRAẞE Strasse", ["STRAẞE"]),
        ("pizza", "pizza🍕", None),
        ("pizza🍕", "Pizza🍕!", ["Pizza🍕"]),
        ("a", "a\x00a a", ["a"]),
        ("返金", "返金。", ["返金"]),
        ("返金", "返金してください", None),
    ],
)
def test_whole_words(query: str, text: str, expected: list[str] | None) -> None:
    assert marked(text, query) == expected


def test_case_substring_and_regex() -> None:
    assert marked("Order order", "order", case=True) == ["order"]
    assert marked("返金してください", "返金", SearchMode.SUBSTRING) == ["返金"]
    assert marked("reORDERs", "order", SearchMode.SUBSTRING) == ["ORDER"]
    assert marked("reORDERs", "order", SearchMode.SUBSTRING, case=True) is None
    assert marked("Order 12 and order-345", r"order.\d+", SearchMode.REGEX) == ["Order 12", "order-345"]
    assert marked("one\ntwo", "^two$", SearchMode.REGEX) == ["two"]
    assert marked("abc", "x*", SearchMode.REGEX) is None  # an empty match is not a hit
    assert marked("de\u0301ja\u0300", "j.", SearchMode.REGEX) == ["ja\u0300"]
    assert marked("e\u0301ж\u0323", "ж", SearchMode.SUBSTRING) == ["ж"]


@pytest.mark.parametrize("text", ["", "  \n", "!?", "…", "x" * 1001, "\udcff"])
def test_texts_that_cannot_be_searched_for(text: str) -> None:
    with pytest.raises(WrongUse):
        matcher(text)


@pytest.mark.parametrize(
    ("pattern", "position"), [("a(", "character 2"), ("[z-a]", "character 2"), ("*", "character 1")]
)
def test_an_invalid_pattern_names_the_position(pattern: str, position: str) -> None:
    with pytest.raises(BadValue, match=position):
        matcher(pattern, SearchMode.REGEX)


def test_offsets_are_bounded() -> None:
    match = matcher("a").find("a " * 1000)
    assert match is not None
    assert (len(match.offsets), match.more) == (MOST_OFFSETS, True)
    match = matcher("a").find("a " * MOST_OFFSETS)
    assert match is not None
    assert not match.more


def test_a_long_word_is_read_once() -> None:
    assert matcher("a").find("a" * 10_000_000 + " b") is None


def test_hostile_accents_take_no_time() -> None:
    accents = "a" + "\u0301\u0323" * 2_000_000
    assert marked(f"{accents} word cafe\u0301", "word") == ["word"]
    assert marked(f"x{accents[:60]} cafe\u0301", "café") == ["cafe\u0301"]


def test_scripts_without_spaces() -> None:
    assert all(map(has_script_without_spaces, ["返金", "ありがとう", "ขอบคุณ", "a 𠀀"]))
    assert not any(map(has_script_without_spaces, ["refund", "środa", "возврат", "환불", "🍕"]))


@given(texts, texts)
@example("ẹ\u0302", "ệ")
@example("e\u0323\u0302", "e\u0302\u0323")
def test_words_agree_with_a_naive_model(query: str, text: str) -> None:
    words = [small_letters(word) for word in words_of(query)]
    if not words or not query.strip() or any("\ud800" <= each <= "\udfff" for each in query):
        return
    match = matcher(query).find(text)
    naive = [small_letters(word) for word in words_of(text)]
    assert (match is not None) == (set(words) <= set(naive))
    if match is not None:
        for start, end in match.offsets:
            assert small_letters(unicodedata.normalize("NFC", text[start:end])) in words
            assert not text[start - 1 : start] or SEPARATOR.match(text[start - 1])
            assert not text[end : end + 1] or SEPARATOR.match(text[end])
        assert sum(naive.count(word) for word in set(words)) == len(match.offsets)


@given(texts, texts, st.booleans())
def test_substrings_agree_with_a_naive_model(query: str, text: str, case: bool) -> None:
    if not query.strip():
        return
    match = matcher(query, SearchMode.SUBSTRING, case=case).find(text)
    form = (lambda each: each) if case else small_letters
    part, whole = (form(unicodedata.normalize("NFC", each)) for each in (query, text))
    assert (match is not None) == (part in whole)


@given(texts)
def test_small_letters_keep_positions(text: str) -> None:
    small = small_letters(text)
    assert len(small) == len(text)
    assert small_letters(small) == small
    assert re.split(SEPARATOR, small) == [small_letters(word) for word in re.split(SEPARATOR, text)]
