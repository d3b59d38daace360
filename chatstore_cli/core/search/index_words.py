"""The words of messages, as the filters of `search index` keep them."""

from __future__ import annotations

from collections.abc import Iterable

from chatstore_cli.core.search.message_text import message_text
from chatstore_cli.core.search.words import small_letters, words_of
from chatstore_cli.domain.message import Message


def message_words(messages: Iterable[Message]) -> set[str]:
    """The words of messages in small letters, as core/search/matcher.py compares them."""
    words: set[str] = set()
    for message in messages:
        words.update(words_of(message_text(message)))
    return set(map(small_letters, words))
