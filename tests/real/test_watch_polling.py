"""`chatstore sessions watch` on a standalone server, which cannot report changes: it queries the indexes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from chatstore_cli.core.watch.messages import INITIALLY_KNOWN
from tests.conftest import Chatstore
from tests.support.mongod import Mongod, poll
from tests.support.watch_processes import watching

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]]
OFTEN = ("--poll", "0.1")
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def standalone_database(chatstore: Chatstore, database: Documents, standalone: Mongod) -> Iterator[Documents]:
    """A database of the test on the standalone server, with indexes, which the command uses."""
    chatstore.environment["CHATSTORE_URI"] = standalone.uri
    client = standalone.client()
    assert chatstore("indexes", "apply", "--yes").code == 0
    yield client[database.name]
    client.drop_database(database.name)


def session(chat_id: str, instant: datetime, **more: Any) -> dict[str, Any]:
    fields = {"status": 0, "created_at": instant, "updated_at": instant, "messages": []}
    return {"chat_id": chat_id, "enterprise_id": "acme", **fields, **more}


def flat(session_id: str, number: int, instant: datetime) -> dict[str, Any]:
    return {"session_id": session_id, "role": "user", "text": number, "created_at": instant.isoformat()}


def turn(number: int, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": number, "event_id": f"e-{number}", "sequence": number, **more}


def test_it_reports_that_it_polls_and_how_often(chatstore: Chatstore, standalone_database: Documents):
    standalone_database["chat_sessions"].insert_one(session("a", NOON))
    with watching(chatstore) as sessions, watching(chatstore, "a") as messages:
        for watcher in (sessions, messages):
            assert "is not a replica set" in watcher.err
            assert "--poll SECONDS" in watcher.err
            assert watcher.end() == 0


def test_new_changed_and_deleted_sessions_of_both_layouts_come_once(
    chatstore: Chatstore, standalone_database: Documents
):
    standalone_database["chat_sessions"].insert_one(session("before", NOON))
    with watching(chatstore, *OFTEN) as watcher:
        standalone_database["chat_sessions"].insert_one(session("a", NOON))
        standalone_database["chat_messages"].insert_one(flat("f", 0, NOON))
        watcher.wait_for_rows(2)
        standalone_database["chat_sessions"].update_one({"chat_id": "a"}, {"$set": {"status": 1}})
        watcher.wait_for_rows(3)
        standalone_database["chat_messages"].insert_one(flat("f", 1, NOON))
        watcher.wait_for_rows(4)
        standalone_database["chat_sessions"].delete_one({"chat_id": "a"})
        assert chatstore("sessions", "delete", "f", "--yes").code == 0
        poll(lambda: {("a", "deleted"), ("f", "deleted")} <= set(watcher.changes))
    rows = Counter(watcher.changes)
    # A poll during the deletion of `f` may find one of its two messages.
    rows[("f", "changed")] = min(rows[("f", "changed")], 1)
    assert rows == Counter((name, change) for name in ("a", "f") for change in ("new", "changed", "deleted"))


def test_sessions_of_one_instant_and_late_ones_come_once_each(chatstore: Chatstore, standalone_database: Documents):
    expected: Counter[tuple[str, str]] = Counter()
    standalone_database["chat_sessions"].insert_one(session("before", NOON))
    with watching(chatstore, *OFTEN) as watcher:
        for round_ in range(5):
            same = NOON + timedelta(seconds=round_)
            for late in range(50):
                name = f"s-{round_}-{late}"
                standalone_database["chat_sessions"].insert_one(session(name, same - timedelta(seconds=late)))
                standalone_database["chat_messages"].insert_one(flat(f"f-{name}", 0, same))
                expected[(name, "new")] = expected[(f"f-{name}", "new")] = 1
        watcher.wait_for_rows(len(expected))
        standalone_database["chat_sessions"].insert_one(session("end", NOON))
        poll(lambda: ("end", "new") in watcher.changes)
    assert Counter(watcher.changes) == {**expected, ("end", "new"): 1}


def test_a_clock_that_runs_ahead_hides_nothing(chatstore: Chatstore, standalone_database: Documents):
    now = datetime.now(UTC)
    standalone_database["chat_sessions"].insert_one(session("ahead", now + timedelta(days=900)))
    with watching(chatstore, *OFTEN) as watcher:
        standalone_database["chat_sessions"].insert_one(session("a", datetime.now(UTC)))
        standalone_database["chat_sessions"].insert_one(session("further", now + timedelta(days=901)))
        standalone_database["chat_sessions"].insert_one(session("b", datetime.now(UTC)))
        watcher.wait_for_rows(3)
    assert Counter(watcher.changes) == {(name, "new"): 1 for name in ("a", "further", "b")}


def test_more_sessions_than_a_page_come_once_each_and_since_starts_with_the_oldest(
    chatstore: Chatstore, standalone_database: Documents
):
    standalone_database["chat_sessions"].insert_many(
        [session(f"s-{number:04}", NOON + timedelta(seconds=number)) for number in range(2_300)]
    )
    with watching(chatstore, *OFTEN, "--since", "2026-03-02T12:00:10Z") as watcher:
        watcher.wait_for_rows(2_290)
        standalone_database["chat_sessions"].update_many({"chat_id": {"$gte": "s-2290"}}, {"$inc": {"status": 1}})
        watcher.wait_for_rows(2_300)
    everything = [(f"s-{number:04}", "new") for number in range(10, 2_300)]
    assert watcher.changes == everything + [(name, "changed") for name, _ in everything[-10:]]


def test_a_session_that_no_longer_passes_the_filter_is_not_deleted(
    chatstore: Chatstore, standalone_database: Documents
):
    standalone_database["chat_sessions"].insert_one(session("a", NOON))
    with watching(chatstore, *OFTEN, "--status", "running") as watcher:
        standalone_database["chat_sessions"].update_one({"chat_id": "a"}, {"$set": {"status": 1}})
        standalone_database["chat_sessions"].insert_one(session("b", NOON))
        watcher.wait_for_rows(1)
        standalone_database["chat_sessions"].update_one({"chat_id": "a"}, {"$set": {"status": 0}})
        watcher.wait_for_rows(2)
    assert [name for name, _ in watcher.changes] == ["b", "a"]


def test_messages_of_one_instant_and_late_ones_come_once_each(chatstore: Chatstore, standalone_database: Documents):
    standalone_database["chat_messages"].insert_many(
        [flat("f", -1 - number, NOON + timedelta(seconds=number)) for number in range(300)]
    )
    standalone_database["chat_sessions"].insert_one(
        session("a", NOON, messages=[turn(number) for number in range(500, 800)])
    )
    with watching(chatstore, "f", *OFTEN) as messages, watching(chatstore, "a", *OFTEN) as document:
        for number in range(60):
            instant = NOON + timedelta(seconds=[300, 250, 40][number % 3])
            standalone_database["chat_messages"].insert_one(flat("f", number, instant))
            pushed = {"$push": {"messages": turn(800 + number if number % 3 else number + 510)}}
            if not number % 3:
                pushed["$push"]["messages"]["event_id"] = f"late-{number}"
            standalone_database["chat_sessions"].update_one(
                {"chat_id": "a"}, {**pushed, "$set": {"updated_at": datetime.now(UTC)}}
            )
        messages.wait_for_rows(60)
        document.wait_for_rows(60)
    assert Counter(messages.contents) == Counter(range(60))
    expected = [800 + number if number % 3 else number + 510 for number in range(60)]
    assert Counter(document.contents) == Counter(expected)


def test_messages_that_differ_only_in_their_place_are_each_shown(chatstore: Chatstore, standalone_database: Documents):
    bare = {"role": "user", "content": "ok"}
    standalone_database["chat_sessions"].insert_one(session("a", NOON, messages=[bare] * 70))
    with watching(chatstore, "a", *OFTEN) as watcher:
        for number in range(30):
            push = {"$push": {"messages": bare}, "$set": {"updated_at": NOON + timedelta(seconds=number)}}
            standalone_database["chat_sessions"].update_one({"chat_id": "a"}, push)
        watcher.wait_for_rows(30)
        end = {"$push": {"messages": {**bare, "content": "end"}}}
        standalone_database["chat_sessions"].update_one({"chat_id": "a"}, end)
        poll(lambda: "end" in watcher.contents)
    assert watcher.contents == ["ok"] * 30 + ["end"]


def test_a_session_that_is_deleted_and_created_again_shows_no_message_twice(
    chatstore: Chatstore, standalone_database: Documents
):
    standalone_database["chat_sessions"].insert_one(session("a", NOON, messages=[turn(0)]))
    with watching(chatstore, "a", *OFTEN) as watcher:
        standalone_database["chat_sessions"].update_one({"chat_id": "a"}, {"$push": {"messages": turn(1)}})
        watcher.wait_for_rows(1)
        standalone_database["chat_sessions"].delete_one({"chat_id": "a"})
        watcher.wait_for_notice("Session 'a' was deleted.")
        standalone_database["chat_sessions"].insert_one(
            session("a", NOON, messages=[turn(number) for number in range(4)])
        )
        watcher.wait_for_rows(3)
    assert watcher.contents == [1, 2, 3]


def test_the_beginning_of_a_long_session_is_not_shown_as_new(chatstore: Chatstore, standalone_database: Documents):
    known = [turn(number) for number in range(INITIALLY_KNOWN + 400)]
    standalone_database["chat_sessions"].insert_one(session("a", NOON, messages=known))
    with watching(chatstore, "a", *OFTEN) as watcher:
        late = turn(200, event_id="far too late")  # searched as far back as messages are known
        added = [late, *(turn(number) for number in range(5_000, 5_060))]
        push = {"$push": {"messages": {"$each": added}}, "$set": {"updated_at": NOON + timedelta(seconds=1)}}
        standalone_database["chat_sessions"].update_one({"chat_id": "a"}, push)
        watcher.wait_for_rows(60)
        standalone_database["chat_sessions"].update_one({"chat_id": "a"}, {"$push": {"messages": turn(6_000)}})
        watcher.wait_for_rows(61)
    assert watcher.contents == [*range(5_000, 5_060), 6_000]
