"""Suggestions: which names and ids a mistyped one may mean."""

from __future__ import annotations

import pytest

from chatstore_cli.core.similar import did_you_mean, similar_names, spellings
from chatstore_cli.core.similar_sessions import similar_sessions
from chatstore_cli.domain.errors import Unreachable
from tests.core.sessions.test_listing import MemoryReader, session

KNOWN = ["acme", "Acme-EU", "globex", "initech", "65bb00000000000000000001"]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("ACME", ["acme", "Acme-EU"]),
        ("acm", ["acme", "Acme-EU"]),
        ("globx", ["globex"]),
        (' "initech" ', ["initech"]),
        ("zzz", []),
        ("", []),
        ("  ", []),
        ("65BB00000000000000000001", ["65bb00000000000000000001"]),
    ],
)
def test_similar_names(typed: str, expected: list[str]) -> None:
    assert similar_names(typed, KNOWN) == expected


def test_a_suggestion_quotes_what_it_names() -> None:
    assert did_you_mean("acm", KNOWN) == "Did you mean 'acme' or 'Acme-EU'?"
    assert did_you_mean("zzz", KNOWN) is None
    assert did_you_mean("evi", ["evi\x1b[31ml"]) == r"Did you mean 'evi\x1b[31ml'?"


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (" chat-1 ", ["chat-1", "CHAT-1"]),
        ('"chat-1"', ["chat-1", "CHAT-1"]),
        ("ObjectId('65BB')", ["65BB", "65bb"]),
        ('ObjectId("65bb")', ["65bb", "65BB"]),
        ("“chat-1”,", ["chat-1", "CHAT-1"]),
        ("chat-1", ["CHAT-1"]),
        ("'", []),
    ],
)
def test_spellings_of_a_copied_id(typed: str, expected: list[str]) -> None:
    assert spellings(typed) == expected


class BrokenReader(MemoryReader):
    """A reader whose server has gone."""

    def find(self, session_id: str) -> None:
        raise Unreachable(what="gone")


def test_another_spelling_is_found_by_its_exact_id_and_close_ids_among_the_newest() -> None:
    readers = [
        BrokenReader("threads"),
        MemoryReader("workflow", [session("Chat-0001", "workflow", 1), session("chat-77", "workflow", 2)]),
        MemoryReader("messages", [session("flat-chat-7", "messages", 3)]),
    ]
    assert similar_sessions(readers, " Chat-0001\n") == ["Chat-0001"]
    assert similar_sessions(readers, "chat-7") == ["chat-77"]
    assert similar_sessions(readers, "flat-chat-7x") == ["flat-chat-7"]
    assert similar_sessions(readers, "x" * 100_000) == []
