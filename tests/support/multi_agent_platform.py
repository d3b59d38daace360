"""The processes of a multi-agent platform on one database, and what is read from it to be compared with the model."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from chatstore_cli import AG2PersistenceManager, SessionRegistry
from chatstore_cli.config.settings import TOMBSTONES, MongoSettings, Settings
from chatstore_cli.core.usage.groupings import UsageGrouping
from chatstore_cli.core.usage.report import report_usage
from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.mixed_transcript import TRANSCRIPT_LAYOUTS, TranscriptSource
from chatstore_cli.domain.queries import SessionQuery
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.session_reader import SessionReader
from chatstore_cli.domain.session_registry import WorkflowRequest
from chatstore_cli.domain.times import utc_now
from chatstore_cli.mongo.connection import Connection, connect
from chatstore_cli.wiring.segments import segment_store
from chatstore_cli.wiring.stores import Stores
from chatstore_cli.wiring.usage import usage_sums
from tests.support.ag2_events import text
from tests.support.interrupted_commands import Interruption
from tests.support.kill_at_command import KillAtCommand, run_in_fork
from tests.support.multi_agent_model import Model, Owner, SessionModel, Usage, workflow_of

CONNECTIONS = ("ws-1", "ws-2", "ws-3", "ws-4")
"""The first two belong to the first process."""

COLLECTIONS = (
    "chat_sessions",
    "chat_session_segments",
    "chat_session_registry",
    "GeneralChatSessions",
    "GeneralChatCounters",
    "general_chat_segments",
    "usage_events",
    TOMBSTONES,
)


class Fault(NamedTuple):
    """A call is interrupted before or after its n-th command. Its process may end with it."""

    command: int
    instant: str
    ends_process: bool


class Process:
    """A process of the platform: it knows no session and no connection when it begins."""

    def __init__(self, platform: Platform, connections: Mapping[str, tuple[Owner, str]] = {}) -> None:
        """Clients attach their connections again."""
        where = (platform.uri, platform.database)
        self.manager = AG2PersistenceManager(*where, segment_messages=6)
        self.registry = SessionRegistry(*where, prerequisites=platform.answer)
        for connection, (owner, key) in connections.items():
            self.registry.attach(connection, *owner, key)


class Platform:
    """Two processes of the platform, and their database."""

    def __init__(self, uri: str, database: str, connection: Connection, interruption: Interruption) -> None:
        self.uri, self.database = uri, database
        self.connection, self.interruption = connection, interruption
        self.stores = self._new_stores()
        self.counts_usage = self.has_segments = not connection.in_memory
        self.model = Model()
        self.processes: list[Process] = []

    def _new_stores(self) -> Stores:
        return Stores(Settings(mongo=MongoSettings(uri=self.uri, database=self.database)), say=print)

    def begin(self, model: Model) -> None:
        """Delete everything, and start both processes."""
        self.model = model
        self.lose(*COLLECTIONS)
        self.processes = [Process(self), Process(self)]

    def restart(self, number: int) -> None:
        """End a process and start it again."""
        self.processes[number] = Process(self, self.connections_of(number))

    def call_and_kill(self, call: Callable[[Process], Any], number: int, fault: Fault) -> None:
        """Make a call in a process of its own, which is killed before or after one of its commands if it sends so many."""

        def work() -> None:
            killer = KillAtCommand(fault.instant, fault.command, is_armed=False)
            self.connection = connect(self.uri, self.database, timeout_seconds=30, listener=killer)
            self.stores = self._new_stores()
            process = Process(self, self.connections_of(number))
            self.connection.reach(30)
            killer.arm()
            with contextlib.suppress(ChatstoreError):
                call(process)

        assert run_in_fork(work) in (0, -signal.SIGKILL)

    def connections_of(self, number: int) -> dict[str, tuple[Owner, str]]:
        """The attached connections of a process."""
        return {name: each for name, each in self.model.connections.items() if process_of(name) == number}

    def answer(self, request: WorkflowRequest) -> bool | str:
        """The answer of the prerequisites."""
        return "not paid" if workflow_of(request.chat_id) in self.model.blocked else True

    def lose(self, *names: str) -> None:
        """Empty collections."""
        for name in names:
            self.connection.database[name].delete_many({})

    def delete(self, source: TranscriptSource) -> None:
        """Delete a session as an operator does."""
        [reader] = self.stores.session_readers(source.layout)
        reader.remove(source.session_id, utc_now())

    def move(self, source: TranscriptSource, keep: int) -> None:
        """Move the oldest messages of a session into a segment."""
        segment_store(self.stores, layout=source.layout).move_oldest(source.session_id, keep_messages=keep)

    def readers(self) -> list[SessionReader]:
        """The readers of both layouts."""
        return [reader for layout in TRANSCRIPT_LAYOUTS for reader in self.stores.session_readers(layout)]

    def stored_sessions(self, owner: Owner) -> dict[TranscriptSource, Session]:
        """The facts of an owner's sessions."""
        query = SessionQuery(tenant_id=owner.app_id, user_id=owner.user_id)
        found = (session for reader in self.readers() for session in reader.all_facts(query))
        return {TranscriptSource(session.layout, session.session_id): session for session in found}

    def reported_usage(self, owner: Owner) -> dict[TranscriptSource, Usage]:
        """The usage of an owner's sessions, as a report has it. Sessions without usage are left out."""
        query = SessionQuery(tenant_id=owner.app_id, user_id=owner.user_id)
        report = report_usage(self.readers(), query, UsageGrouping.SESSION, ledger=usage_sums(self.stores))
        found = {}
        for row in report.rows:
            source = TranscriptSource(str(row.group["layout"]), str(row.group["session_id"]))
            known = row.usage.known
            assert known.total_tokens == known.prompt_tokens + known.completion_tokens
            unknown = row.cost_unknown_sessions > 0 and known.total_tokens > 0
            found[source] = Usage(known.prompt_tokens, known.completion_tokens, known.cost or Decimal(), unknown)
        return {source: usage for source, usage in found.items() if any(usage)}


def process_of(connection: str) -> int:
    """The process that accepted a connection."""
    return CONNECTIONS.index(connection) // 2


def deliver(process: Process, session: SessionModel, content: str, event_id: str | None) -> Any:
    """Store a message of a session; returns what the store answers."""
    owner, chat_id = session.owner, session.source.session_id
    if session.source.layout == "workflow":
        event = text(content, sender="Planner", uuid=event_id)
        return process.manager.save_event(
            event,
            chat_id=chat_id,
            enterprise_id=owner.app_id,
            user_id=owner.user_id,
            workflow_name=workflow_of(chat_id),
        )
    return process.manager.append_general_message(
        general_chat_id=chat_id,
        app_id=owner.app_id,
        user_id=owner.user_id,
        role="user",
        content=content,
        event_id=event_id,
    )


def platform_of(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, *, in_memory: bool) -> Platform:
    """A platform on a new database, with indexes in a long run. All its connections are one, which can be interrupted."""
    interruption = Interruption()
    if in_memory:
        uri, name = "mongomock://", "multi_agent_state"
        interruption.in_memory(monkeypatch)
        connection = connect(uri, name, timeout_seconds=10)
    else:
        uri, name = request.getfixturevalue("mongo_uri"), request.getfixturevalue("database").name
        connection = connect(uri, name, timeout_seconds=30, listener=interruption)
        if request.config.getoption("--soak"):
            with AG2PersistenceManager(uri, name) as manager:
                manager.ensure_indexes()
    # A process of its own would have a connection of its own. One of all is much faster, and has no other state.
    platform = Platform(uri, name, connection, interruption)
    monkeypatch.setattr("chatstore_cli.mongo.connection.connect", lambda *_, **__: platform.connection)
    return platform
