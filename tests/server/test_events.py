"""The stream of changes: to each caller its own, resumed after the last event, never silently short."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from types import SimpleNamespace

from chatstore_cli.domain.api_keys import Access, Right
from chatstore_cli.domain.session import Session, SessionStatus
from chatstore_cli.domain.watch import Change, SessionChange
from chatstore_cli.server.entrance.open_sockets import OpenConnections
from chatstore_cli.server.live import LiveChanges
from chatstore_cli.server.routes import events
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
        self.connections = OpenConnections()
        self.services = SimpleNamespace(live=self.live, connections=self.connections, still_grants=lambda access: True)

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


def test_what_is_not_known_any_more_is_reported_as_missed(tmp_path):
    async def run():
        found = Events(tmp_path)
        live = found.live
        found.publish(*(change(str(number)) for number in range(1_005)))
        assert len(live.after(live.event_id(5))) == 1_000
        for unknown in (live.event_id(4), live.event_id(2_000), "x-1", "", "é", live.event_id(1) + "x"):
            stream = found.stream(unknown)
            assert [await anext(stream), await anext(stream)] == [WATCHING, MISSED]
            await stream.aclose()
        live._start_again()
        assert live.after(live.event_id(1_000)) is None

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
