"""Which texts can be tags and titles of sessions."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from chatstore_cli.domain.errors import BadValue
from chatstore_cli.domain.labels import LONGEST_TAG, LONGEST_TITLE, MOST_TAGS

_FORBIDDEN = {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Categories of characters: control characters, halves of a pair, private and unassigned ones, line separators."""
_JOINERS = {"\u200c", "\u200d"}
"""Invisible characters that some scripts and emoji need."""


def checked_tag(text: str) -> str:
    """A tag as it is stored and looked up: without spaces around it, in Unicode's form NFC, with its case.

    Raises BadValue for an empty or too long one, and for control characters and other invisible ones.
    """
    expected = f"a tag: 1 to {LONGEST_TAG} characters, without control characters"
    return _checked("tag", text, LONGEST_TAG, expected)


def checked_tags(texts: Iterable[str]) -> list[str]:
    """The tags, each once. Raises BadValue, also for more than a session can have."""
    tags = list(dict.fromkeys(map(checked_tag, texts)))
    if len(tags) > MOST_TAGS:
        raise BadValue(name="tags", value=len(tags), expected=f"at most {MOST_TAGS}, the most tags of a session")
    return tags


def checked_title(text: str) -> str:
    """A title as it is stored; empty to remove it. Raises BadValue as `checked_tag`."""
    expected = f"a title: at most {LONGEST_TITLE} characters, without line breaks and control characters"
    return _checked("title", text, LONGEST_TITLE, expected) if text.strip() else ""


def _checked(name: str, text: str, longest: int, expected: str) -> str:
    cleaned = unicodedata.normalize("NFC", text).strip()
    if not cleaned or len(cleaned) > longest or not all(map(_is_allowed, cleaned)):
        shown = cleaned if len(cleaned) <= longest else f"{cleaned[:longest]}…"
        raise BadValue(name=name, value=shown, expected=expected)
    return cleaned


def _is_allowed(character: str) -> bool:
    category = unicodedata.category(character)
    return category not in _FORBIDDEN and (category != "Cf" or character in _JOINERS)
