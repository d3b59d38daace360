"""The words of a search as terms of a text index: a server is asked about every character that needs care."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterator
from itertools import islice

import pytest

from chatstore_cli.core.search.indexes import UNUSED_FIELD
from chatstore_cli.core.search.words import SEPARATOR, small_letters
from chatstore_cli.mongo.search.words import terms_of

pytestmark = pytest.mark.real
ANY = [chr(code) for code in range(1, sys.maxunicode + 1) if not 0xD800 <= code <= 0xDFFF]
AT_ONCE = 2_000


def equal_texts() -> Iterator[tuple[str, str]]:
    """Each character that a search takes for another one, as it can be stored, and that other one."""
    for character in ANY:
        searched = small_letters(unicodedata.normalize("NFC", character))
        for stored in {character, unicodedata.normalize("NFD", character)} - {searched}:
            yield stored, searched


def indexed(database, texts):
    """A collection with a text index and these texts, whose ids are their places."""
    collection = database["texts"]
    collection.create_index([("text", "text")], default_language="none", language_override=UNUSED_FIELD)
    collection.insert_many([{"_id": place, "text": text} for place, text in enumerate(texts)])
    return collection


def found_by(collection, searches: list[list[str]]) -> set[int]:
    """The places of the texts that the terms find, with few queries."""
    found: set[int] = set()
    remaining = iter(searches)
    while some := list(islice(remaining, AT_ONCE)):
        search = " ".join(term for terms in some for term in terms)
        found |= {row["_id"] for row in collection.find({"$text": {"$search": search}}, {"_id": 1})}
    return found


def test_a_word_is_found_in_every_case_and_form_in_which_its_letters_can_be_stored(database):
    # Each pair has a word of its own, so that many can be searched for with one query.
    known = [(f"x{place}q", stored, terms) for place, (stored, searched) in enumerate(equal_texts())
             if (terms := terms_of(f"x{place}q{searched}z")) is not None]  # fmt: skip
    assert len(known) > 2_000  # the rest is searched for without the index
    collection = indexed(database, [f"{prefix}{stored}z" for prefix, stored, _ in known])
    found = found_by(collection, [terms for *_, terms in known])
    missed = [ascii(stored) for place, (_, stored, _) in enumerate(known) if place not in found]
    assert missed == []


def test_the_index_separates_words_wherever_the_splitter_does(database):
    separators = [each for each in ANY if SEPARATOR.match(each)]
    collection = indexed(database, [f"left{each}right" for each in separators])
    for word in ("left", "right"):
        found = found_by(collection, [[word]])
        assert [ascii(each) for place, each in enumerate(separators) if place not in found] == []


@pytest.mark.parametrize(
    "word", ["pizza", "it_is", "4711", "straße", "ıspanak", "größe", "Жук".lower(), "لأن", "한국어", "寿司"]
)
def test_usual_words_are_searched_for_with_the_index(word):
    assert terms_of(small_letters(word)) is not None


@pytest.mark.parametrize("word", ["ქართული", "\u0f40\u0fb5", "e\u0301\u0323", "각각각각각각각"])
def test_words_that_an_index_may_not_find_are_not_searched_for_with_it(word):
    assert terms_of(word) is None
