"""A search in threads of PostgreSQL finds with an index, and with the server's filter, what reading every message finds."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from chatstore_cli.core.search.run import MessageSearch
from chatstore_cli.core.search.scanning import ScanningSearcher
from chatstore_cli.core.search.words import SEPARATOR
from chatstore_cli.domain.search.models import SearchMode, SearchQuery
from tests.support.searched_messages import FILTERED, NOON, assert_same_hits, found

if TYPE_CHECKING:
    from chatstore_cli.postgres.database import PostgresDatabase
    from chatstore_cli.postgres.threads.sessions import PostgresThreadSessions
    from tests.conftest import Chatstore

pytestmark = pytest.mark.real
TEXTS = (
    "Pizza from the oven", "a pizzaoven", "cre\u0300me", "Cr\u00c8me br\u00fbl\u00e9e", "Stra\u00dfe", "STRASSE",
    "\u212aelvin's ma\u017fk", "42", "1.5", "a.b$c", "line\nbreak", "pizza/oven", "ann@pizza.com", "https://pizza.com/oven?x=42",
    "<b>pizza</b>", "&pizza;", "pizza-oven-42", "-42", "\U0001f355pizza", "pizza_oven", "\u6211\u60f3\u8981\u62ab\u8428", "\u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2",
    "\u0416\u0423\u041a", "\u2014pizza\u2014oven", "word " * 60_000 + "pizza", "x" * 3000, "",
)  # fmt: skip
QUERIES = (
    *map(
        SearchQuery,
        ("pizza", "PIZZA oven", "cr\u00e8me", "stra\u00dfe", "kelvin mask", "42", "1.5", "com", "x", "b", "pizza_oven"),
    ),
    SearchQuery("\u03c3\u03af\u03c3\u03c5\u03c6\u03bf\u03c3"),
    SearchQuery("\u0436\u0443\u043a"),
    SearchQuery("ann pizza"),
    SearchQuery("x" * 900),
    SearchQuery("zza ov", mode=SearchMode.SUBSTRING),
    SearchQuery("\u62ab\u8428", mode=SearchMode.SUBSTRING),
    SearchQuery("p.zza|4+2", mode=SearchMode.REGEX),
)


def content(dice: random.Random) -> Any:
    """A content as fluxibly stores it, or any other JSON object."""
    text = dice.choice(TEXTS)
    call = {"id": "c", "function": {"name": text, "arguments": json.dumps({"q": dice.choice(TEXTS[:9])})}}
    return dice.choice(
        [
            *[{"type": "text", "text": text, "metadata": {}}] * 6,
            {"text": text},
            {"type": "text", "text": text, "order": 42},
            {"type": "text", "text": text, "tool_calls": [call]},
            {"type": "text", "text": text, "metadata": {"tool_calls": [call]}},
            {"type": "image", "url": f"https://example.com/{text[:40]}"},
            {"type": "parts", "content": [{"type": "text", "text": text}, {"type": "tool_use", "input": {"n": 42}}]},
            {"type": "text", "text": 1.5},
        ]
    )


@pytest.fixture
def reader(postgres_database: PostgresDatabase) -> Iterator[PostgresThreadSessions]:
    """Threads with messages of many kinds."""
    from sqlalchemy import insert

    from chatstore_cli.postgres.schema import MESSAGES, THREADS
    from chatstore_cli.postgres.threads.sessions import PostgresThreadSessions

    dice = random.Random(3)
    threads, messages = [], []
    for number in range(12):
        at = NOON - timedelta(minutes=10 * number)
        facts = {"user_id": f"u{number % 3}", "org_id": ["acme", "other"][number % 2], "name": "A thread"}
        threads.append({"id": f"t{number}", **facts, "created_at": at, "updated_at": at})
        for place in range(15):
            row = {
                "id": f"{number}-{place}",
                "chat_thread_id": f"t{number}",
                "sequence": place,
                "content": content(dice),
            }
            moment = at - timedelta(seconds=15 - place)
            row |= {"sender_role": dice.choice(["user", "assistant"]), "created_at": moment, "updated_at": moment}
            messages.append(row)
    with postgres_database.engine.begin() as connection:
        connection.execute(insert(THREADS), threads)
        connection.execute(insert(MESSAGES), messages)
    yield PostgresThreadSessions(postgres_database)


def ids(search: MessageSearch) -> list[tuple[str, str | None]]:
    """The messages of the hits."""
    return [(hit.message.session_id, hit.message.message_id) for hit in search.hits()]


@pytest.mark.parametrize("has_index", [False, True], ids=["scan", "index"])
def test_a_search_finds_what_reading_every_message_finds(
    reader: PostgresThreadSessions, postgres_database: PostgresDatabase, has_index: bool
) -> None:
    from chatstore_cli.postgres.threads.search_index import SearchIndex

    index = SearchIndex(postgres_database)
    assert not index.exists()
    if has_index:
        index.create()
        assert index.exists()
    assert assert_same_hits(reader.message_searcher(), reader, QUERIES) > 150
    for query in FILTERED:
        expected = sorted(ids(MessageSearch([ScanningSearcher(reader)], query, limit=500)))
        assert sorted(ids(MessageSearch([reader.message_searcher()], query, limit=500))) == expected
        assert len(expected) > 1


def test_the_index_separates_wherever_the_splitter_does() -> None:
    import re

    from chatstore_cli.postgres.threads.search_index import _SPACES

    spaces = re.compile(_SPACES)
    assert [
        ascii(chr(code)) for code in range(1, 0x110000) if SEPARATOR.match(chr(code)) and not spaces.match(chr(code))
    ] == []


def test_the_index_is_used_and_no_text_is_too_long_for_it(
    reader: PostgresThreadSessions, postgres_database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy import insert

    from chatstore_cli.postgres.schema import MESSAGES
    from chatstore_cli.postgres.threads.search_index import LONGEST_TEXT, SearchIndex

    SearchIndex(postgres_database).create()
    monkeypatch.setattr(reader, "without_counts", None)  # a scan would fail
    letters = [chr(code) for code in range(0x10000, 0x10000 + 60_000)]
    hostile = " ".join(letters)[: LONGEST_TEXT - 10] + " zzyzx"
    row = {"chat_thread_id": "t1", "sender_role": "user", "created_at": NOON, "updated_at": NOON}
    with postgres_database.engine.begin() as connection:
        for place, text in enumerate([hostile, hostile * 3]):
            message = {"id": f"long{place}", "sequence": 100 + place, "content": {"type": "text", "text": text}}
            connection.execute(insert(MESSAGES), {**row, **message})
    assert len(found(reader.message_searcher(), SearchQuery("zzyzx"))) == 2


def test_indexes_apply_search_states_the_size_and_waits_for_a_yes(postgres_chatstore: Chatstore) -> None:
    apply = ("indexes", "apply", "--search", "--layout", "threads")
    created = postgres_chatstore("threads", "create", "Trip", "--user", "ana", "--tenant", "acme", "-o", "json")
    thread_id = json.loads(created.out)["thread_id"]
    assert postgres_chatstore("threads", "add", thread_id, "--role", "user", "--text", "pizza/oven").code == 0
    planned = postgres_chatstore(*apply, "--dry-run")
    assert (planned.code, "this would create chat_messages_search_idx" in planned.err) == (0, True)
    left = postgres_chatstore(*apply)
    assert (left.code, "--yes" in left.err) == (6, True)
    made = postgres_chatstore(*apply, "--yes")
    assert (made.code, "Created the text index" in made.err) == (0, True), made.err
    checked = postgres_chatstore("indexes", "check", "--layout", "threads")
    assert (checked.code, "uses the text index" in checked.err) == (0, True)
    hits_of_oven = postgres_chatstore("search", "oven", "--layout", "threads", "-o", "json")
    assert [item["snippet"] for item in json.loads(hits_of_oven.out)["items"]] == ["pizza/oven"]
