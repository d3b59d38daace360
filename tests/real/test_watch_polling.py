"""`chatstore sessions watch` on a standalone server, which tells no changes: it looks through the indexes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from chatstore_cli.core.watch.messages import INITIALLY_KNOWN
from tests.conftest import Chatstore, _need_a_mongod
from tests.support.mongod import Mongod, poll, short_temporary_folder, start_mongod
from tests.support.watch_processes import watching

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]]
OFTEN = ("--poll", "0.1")
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def standalone() -> Iterator[Mongod]:
    """A server that is no replica set."""
    _need_a_mongod()
    with short_temporary_folder() as folder:
        server = start_mongod(folder, replica_set=False)
        try:
            yield server
        finally:
            server.remove()


@pytest.fixture
def alone(chatstore: Chatstore, database: Documents, standalone: Mongod) -> Iterator[Documents]:
    """A database of the test's own on it, which the command uses, with the indexes that it needs."""
    chatstore.environment["CHATSTORE_URI"] = standalone.uri
    client = standalone.client()
    assert chatstore("indexes", "apply", "--yes").code == 0
    yield client[database.name]
    client.drop_database(database.name)


def session(chat_id: str, at: datetime, **more: Any) -> dict[str, Any]:
    standing = {"status": 0, "created_at": at, "updated_at": at, "messages": []}
    return {"chat_id": chat_id, "enterprise_id": "acme", **standing, **more}


def flat(session_id: str, number: int, at: datetime) -> dict[str, Any]:
    return {"session_id": session_id, "role": "user", "text": number, "created_at": at.isoformat()}


def turn(number: int, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": number, "event_id": f"e-{number}", "sequence": number, **more}


def test_it_says_that_it_looks_and_how_often(chatstore: Chatstore, alone: Documents):
    alone["chat_sessions"].insert_one(session("a", NOON))
    with watching(chatstore) as sessions, watching(chatstore, "a") as messages:
        for watcher in (sessions, messages):
            assert "is not a replica set" in watcher.err
            assert "--poll SECONDS" in watcher.err
            assert watcher.end() == 0


def test_new_changed_and_deleted_sessions_of_both_layouts_come_once(chatstore: Chatstore, alone: Documents):
    alone["chat_sessions"].insert_one(session("before", NOON))
    with watching(chatstore, *OFTEN) as watcher:
        alone["chat_sessions"].insert_one(session("a", NOON))
        alone["chat_messages"].insert_one(flat("f", 0, NOON))
        watcher.wait_for_rows(2)
        alone["chat_sessions"].update_one({"chat_id": "a"}, {"$set": {"status": 1}})
        watcher.wait_for_rows(3)
        alone["chat_messages"].insert_one(flat("f", 1, NOON))
        watcher.wait_for_rows(4)
        alone["chat_sessions"].delete_one({"chat_id": "a"})
        assert chatstore("sessions", "delete", "f", "--yes").code == 0
        poll(lambda: {("a", "deleted"), ("f", "deleted")} <= set(watcher.changes))
    told = Counter(watcher.changes)
    # A look may come while the messages of `f` are being deleted, and find one of two.
    told[("f", "changed")] = min(told[("f", "changed")], 1)
    assert told == Counter((name, change) for name in ("a", "f") for change in ("new", "changed", "deleted"))


def test_sessions_of_one_instant_and_late_ones_come_once_each(chatstore: Chatstore, alone: Documents):
    expected: Counter[tuple[str, str]] = Counter()
    alone["chat_sessions"].insert_one(session("before", NOON))
    with watching(chatstore, *OFTEN) as watcher:
        for round_ in range(5):
            same = NOON + timedelta(seconds=round_)
            for late in range(50):
                name = f"s-{round_}-{late}"
                alone["chat_sessions"].insert_one(session(name, same - timedelta(seconds=late)))
                alone["chat_messages"].insert_one(flat(f"f-{name}", 0, same))
                expected[(name, "new")] = expected[(f"f-{name}", "new")] = 1
        watcher.wait_for_rows(len(expected))
        alone["chat_sessions"].insert_one(session("end", NOON))
        poll(lambda: ("end", "new") in watcher.changes)
    assert Counter(watcher.changes) == {**expected, ("end", "new"): 1}


def test_a_clock_that_runs_ahead_hides_nothing(chatstore: Chatstore, alone: Documents):
    now = datetime.now(UTC)
    alone["chat_sessions"].insert_one(session("ahead", now + timedelta(days=900)))
    with watching(chatstore, *OFTEN) as watcher:
        alone["chat_sessions"].insert_one(session("a", datetime.now(UTC)))
        alone["chat_sessions"].insert_one(session("further", now + timedelta(days=901)))
        alone["chat_sessions"].insert_one(session("b", datetime.now(UTC)))
        watcher.wait_for_rows(3)
    assert Counter(watcher.changes) == {(name, "new"): 1 for name in ("a", "further", "b")}


def test_more_sessions_than_a_page_has_come_once_each_and_since_begins_with_the_oldest(
    chatstore: Chatstore, alone: Documents
):
    alone["chat_sessions"].insert_many(
        [session(f"s-{place:04}", NOON + timedelta(seconds=place)) for place in range(2_300)]
    )
    with watching(chatstore, *OFTEN, "--since", "2026-03-02T12:00:10Z") as watcher:
        watcher.wait_for_rows(2_290)
        alone["chat_sessions"].update_many({"chat_id": {"$gte": "s-2290"}}, {"$inc": {"status": 1}})
        watcher.wait_for_rows(2_300)
    everything = [(f"s-{place:04}", "new") for place in range(10, 2_300)]
    assert watcher.changes == everything + [(name, "changed") for name, _ in everything[-10:]]


def test_a_session_that_no_longer_passes_the_filter_is_not_deleted(chatstore: Chatstore, alone: Documents):
    alone["chat_sessions"].insert_one(session("a", NOON))
    with watching(chatstore, *OFTEN, "--status", "running") as watcher:
        alone["chat_sessions"].update_one({"chat_id": "a"}, {"$set": {"status": 1}})
        alone["chat_sessions"].insert_one(session("b", NOON))
        watcher.wait_for_rows(1)
        alone["chat_sessions"].update_one({"chat_id": "a"}, {"$set": {"status": 0}})
        watcher.wait_for_rows(2)
    assert [name for name, _ in watcher.changes] == ["b", "a"]


def test_messages_of_one_instant_and_late_ones_come_once_each(chatstore: Chatstore, alone: Documents):
    alone["chat_messages"].insert_many(
        [flat("f", -1 - number, NOON + timedelta(seconds=number)) for number in range(300)]
    )
    alone["chat_sessions"].insert_one(session("a", NOON, messages=[turn(number) for number in range(500, 800)]))
    with watching(chatstore, "f", *OFTEN) as messages, watching(chatstore, "a", *OFTEN) as document:
        for number in range(60):
            at = NOON + timedelta(seconds=[300, 250, 40][number % 3])
            alone["chat_messages"].insert_one(flat("f", number, at))
            pushed = {"$push": {"messages": turn(800 + number if number % 3 else number + 510)}}
            if not number % 3:
                pushed["$push"]["messages"]["event_id"] = f"late-{number}"
            alone["chat_sessions"].update_one({"chat_id": "a"}, {**pushed, "$set": {"updated_at": datetime.now(UTC)}})
        messages.wait_for_rows(60)
        document.wait_for_rows(60)
    assert Counter(messages.contents) == Counter(range(60))
    expected = [800 + number if number % 3 else number + 510 for number in range(60)]
    assert Counter(document.contents) == Counter(expected)


def test_messages_that_only_their_place_tells_apart_are_as_many_as_there_are(chatstore: Chatstore, alone: Documents):
    bare = {"role": "user", "content": "ok"}
    alone["chat_sessions"].insert_one(session("a", NOON, messages=[bare] * 70))
    with watching(chatstore, "a", *OFTEN) as watcher:
        for number in range(30):
            push = {"$push": {"messages": bare}, "$set": {"updated_at": NOON + timedelta(seconds=number)}}
            alone["chat_sessions"].update_one({"chat_id": "a"}, push)
        watcher.wait_for_rows(30)
        end = {"$push": {"messages": {**bare, "content": "end"}}}
        alone["chat_sessions"].update_one({"chat_id": "a"}, end)
        poll(lambda: "end" in watcher.contents)
    assert watcher.contents == ["ok"] * 30 + ["end"]


def test_a_session_that_is_deleted_and_comes_back_gives_no_message_twice(chatstore: Chatstore, alone: Documents):
    alone["chat_sessions"].insert_one(session("a", NOON, messages=[turn(0)]))
    with watching(chatstore, "a", *OFTEN) as watcher:
        alone["chat_sessions"].update_one({"chat_id": "a"}, {"$push": {"messages": turn(1)}})
        watcher.wait_for_rows(1)
        alone["chat_sessions"].delete_one({"chat_id": "a"})
        watcher.wait_until_it_said("Session 'a' was deleted.")
        alone["chat_sessions"].insert_one(session("a", NOON, messages=[turn(number) for number in range(4)]))
        watcher.wait_for_rows(3)
    assert watcher.contents == [1, 2, 3]


def test_the_beginning_of_a_long_session_is_not_taken_for_new(chatstore: Chatstore, alone: Documents):
    known = [turn(number) for number in range(INITIALLY_KNOWN + 400)]
    alone["chat_sessions"].insert_one(session("a", NOON, messages=known))
    with watching(chatstore, "a", *OFTEN) as watcher:
        late = turn(200, event_id="far too late")  # looked for, as far back as messages are known
        added = [late, *(turn(number) for number in range(5_000, 5_060))]
        push = {"$push": {"messages": {"$each": added}}, "$set": {"updated_at": NOON + timedelta(seconds=1)}}
        alone["chat_sessions"].update_one({"chat_id": "a"}, push)
        watcher.wait_for_rows(60)
        alone["chat_sessions"].update_one({"chat_id": "a"}, {"$push": {"messages": turn(6_000)}})
        watcher.wait_for_rows(61)
    assert watcher.contents == [*range(5_000, 5_060), 6_000]
