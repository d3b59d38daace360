"""The stream of changes: to each caller its own, resumed after the last event, never silently short."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from chatstore_cli.domain.api_keys import EVERYTHING, Access, Right
from chatstore_cli.domain.errors import Unreachable
from chatstore_cli.domain.session import Session, SessionStatus
from chatstore_cli.domain.watch import Change, SessionChange
from chatstore_cli.server.entrance.open_sockets import OpenConnections
from chatstore_cli.server.live import LiveChanges
from chatstore_cli.server.routes import events
from chatstore_cli.server.services import Services
from chatstore_cli.server.turns.responders.registry import responder_of
from chatstore_cli.wiring import watching
from tests.support import watch_processes
from tests.support.served_app import settings_of

NOW = datetime(2026, 2, 1, tzinfo=UTC)
ACCESS = Access(Right.READ, frozenset({"acme"}), "k")
WATCHING, MISSED = ": watching\n\n", "event: missed\ndata: {}\n\n"


def change(session_id, tenant="acme"):
    session = Session(session_id, "workflow", tenant_id=tenant, status=SessionStatus.RUNNING, updated_at=NOW)
    return SessionChange(Change.CHANGED, session, NOW)


class Events:
    """The stream of one client, without a database: the test publishes the changes."""

    def __init__(self, folder):
        self.live = LiveChanges(settings_of(folder))
        self.live.is_watching = True
        self.connections = OpenConnections()
        self.services = SimpleNamespace(
            live=self.live, connections=self.connections, still_grants=lambda access: True, reading=self, stores=None
        )

    async def run(self, call):
        raise Unreachable(what="The database does not answer, so events have no labels.")

    def stream(self, last_event_id=None):
        return events._stream(self.services, ACCESS, lambda each: ACCESS.sees(each.session.tenant_id), last_event_id)

    def publish(self, *changes):
        for each in changes:
            self.live._publish(each)


def shown(text):
    fields = dict(line.split(": ", 1) for line in text.splitlines() if line)
    return fields["id"], fields["event"], json.loads(fields["data"])["session_id"]


def test_a_stream_resumes_after_the_last_event_and_has_only_the_changes_of_the_callers_tenants(tmp_path):
    async def run():
        found = Events(tmp_path)
        first = found.stream()
        assert await anext(first) == WATCHING
        found.publish(change("a"), change("foreign", "other"), change("b"))
        last, *event = shown(await anext(first))
        assert event == ["changed", "a"]
        await first.aclose()
        found.publish(change("c"))
        again = found.stream(last)
        assert await anext(again) == WATCHING
        assert [shown(await anext(again))[2] for _ in range(2)] == ["b", "c"]
        found.publish(change("d"))
        assert shown(await anext(again))[2] == "d"
        found.connections.stopping.set()
        assert [each async for each in again] == []

    asyncio.run(run())


def test_an_event_that_the_process_does_not_have_is_reported_as_missed(tmp_path):
    async def run():
        found = Events(tmp_path)
        live = found.live
        found.publish(*(change(str(number)) for number in range(1_005)))
        known = live._recent[0].event_id
        assert len(live.after(known)) == 999
        assert live.after(live._recent[-1].event_id) == []
        for unknown in ("x-1", "", "é", known + "x", known[:-1], "1"):
            stream = found.stream(unknown)
            assert [await anext(stream), await anext(stream)] == [WATCHING, MISSED]
            await stream.aclose()
        live._start_again(live._watch)
        assert live.after(known) is None

    asyncio.run(run())


def test_a_client_that_reads_too_slowly_is_ended_with_an_event(tmp_path):
    async def run():
        found = Events(tmp_path)
        stream = found.stream()
        await anext(stream)
        found.publish(*(change(str(number)) for number in range(1_001)))
        assert [each async for each in stream] == [MISSED]
        assert found.live._subscribers == set()

    asyncio.run(run())


def test_the_stream_of_a_revoked_key_ends_without_the_next_change(tmp_path):
    async def run():
        found, is_granted = Events(tmp_path), True
        found.services.still_grants = lambda access: is_granted
        stream = found.stream()
        assert await anext(stream) == WATCHING
        following = asyncio.ensure_future(anext(stream, "the end"))
        await asyncio.sleep(0)  # now it waits for a change
        is_granted = False
        found.publish(change("a"))
        assert await asyncio.wait_for(following, 30) == "the end"

    asyncio.run(run())


# --- over a database -------------------------------------------------------------------------------------------------


def session_of(session_id, tenant, **more):
    fields = {"user_id": "ana", "workflow_name": "w", "status": 0, "messages": [], "created_at": NOW, "updated_at": NOW}
    return {"_id": session_id, "chat_id": session_id, "enterprise_id": tenant, **fields, **more}


async def stream_of(services, access, last_event_id=None, **filters):
    """The stream of a request."""
    response = await events.events(services, access, last_event_id=last_event_id, **filters)
    return response.body_iterator


async def event_of(stream):
    """The next event: its id, its name and its data. Comments are skipped."""
    while (text := await asyncio.wait_for(anext(stream), 30)).startswith(":"):
        pass
    fields = dict(line.split(": ", 1) for line in text.splitlines() if line)
    return fields["id"], fields["event"], json.loads(fields["data"])


@pytest.fixture
def services(tmp_path, mongo_uri, database):
    settings = settings_of(tmp_path, mongo_uri, database.name)
    found = Services(settings, responder_of(settings))
    yield found
    found.live.stop()
    found.stores.close()


def test_a_stream_says_that_it_watches_when_no_later_change_is_missed(services, database, monkeypatch):
    """The thread that follows the database is held before it has begun, and the session is stored right after the comment."""
    held, free, watched = threading.Event(), threading.Event(), watching.watched_sessions

    def late(*arguments):
        held.set()
        free.wait()
        return watched(*arguments)

    monkeypatch.setattr(watching, "watched_sessions", late)
    monkeypatch.setattr(events, "_SECONDS_BETWEEN_SIGNS", 0.01)

    async def run():
        stream = await stream_of(services, EVERYTHING)
        first = await anext(stream)
        await asyncio.to_thread(held.wait)
        assert first == ": waiting for the database\n\n"
        free.set()
        while (text := await anext(stream)) != WATCHING:
            assert text == ": waiting for the database\n\n"
        database.chat_sessions.insert_one(session_of("c-1", "acme"))
        assert [(await event_of(stream))[2]["session_id"]] == ["c-1"]
        await stream.aclose()

    try:
        asyncio.run(run())
    finally:
        free.set()


def test_events_are_those_of_the_tenant_whatever_it_filters_and_resumes_after(services, database):
    async def run():
        own, other = (Access(Right.READ, frozenset({each}), each) for each in ("acme", "globex"))
        services.still_grants = lambda access: True
        every, mine = [await stream_of(services, access) for access in (EVERYTHING, own)]
        theirs = await stream_of(services, own, tenant="globex")
        for stream in (every, mine, theirs):
            assert await asyncio.wait_for(anext(stream), 30) == WATCHING
        documents = [session_of(f"{tenant}-{n}", tenant) for n in (1, 2) for tenant in ("globex", "acme")]
        database.chat_sessions.insert_many(documents)
        shown = [await event_of(every) for _ in documents]
        assert [data["session_id"] for _, _, data in shown] == [each["_id"] for each in documents]
        received = [await event_of(mine) for _ in range(2)]
        assert received == [shown[1], shown[3]]
        ids = [event_id for event_id, _, _ in shown]
        assert {len(each) for each in ids} == {16}
        assert len({each[:8] for each in ids}) == 4  # random from their first digit on, so they count nothing
        after_a_foreign_one = await stream_of(services, own, ids[0])
        assert [await event_of(after_a_foreign_one) for _ in range(2)] == received
        of_other = await stream_of(services, other, ids[0])
        assert await event_of(of_other) == shown[2]
        waiting = asyncio.ensure_future(anext(theirs))
        database.chat_sessions.insert_one(session_of("acme-3", "acme"))
        assert (await event_of(mine))[2]["session_id"] == "acme-3"
        if waiting.done():
            assert waiting.result().startswith(":")
        waiting.cancel()
        for stream in (every, mine, after_a_foreign_one, of_other):
            await stream.aclose()

    asyncio.run(run())


def test_events_have_the_rows_of_the_command_with_titles_and_tags(services, database, chatstore):
    """Each change as the command prints it."""
    database.chatstore_labels.insert_one(
        {"_id": {"layout": "workflow", "session_id": "c-1"}, "title": "A title", "tags": ["vip"]}
    )
    database.chat_sessions.insert_one(session_of("c-0", "acme"))

    steps = (
        lambda: database.chat_sessions.insert_one(session_of("c-1", "acme")),
        lambda: database.chat_sessions.update_one({"_id": "c-1"}, {"$set": {"status": 1}}),
        lambda: database.chat_sessions.delete_one({"_id": "c-1"}),
    )

    async def run(watcher):
        stream = await stream_of(services, EVERYTHING, layout="workflow")
        assert await asyncio.wait_for(anext(stream), 30) == WATCHING
        found = []
        for step in steps:
            step()
            found.append(await event_of(stream))
            # A row has the facts of the moment when it is read, so both must have read them before the next change.
            await asyncio.to_thread(watcher.wait_for_rows, len(found))
        await stream.aclose()
        return found

    with watch_processes.watching(chatstore) as watcher:
        found = asyncio.run(run(watcher))
        expected = watcher.rows
    assert [data for _, _, data in found] == expected
    assert [name for _, name, _ in found] == ["new", "changed", "deleted"]
    assert [(data["title"], data["tags"]) for _, _, data in found] == [("A title", ["vip"])] * 3


def test_an_unknown_layout_and_a_disabled_database_are_errors(off, one_server):
    """A stream of either would never have an event."""
    assert one_server.client.get("/store/events?layout=nonsense").status_code == 404
    assert off.client.get("/store/events").status_code == 503
