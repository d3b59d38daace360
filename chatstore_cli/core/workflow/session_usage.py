"""Stores the usage of a session's agents: from AG2's usage reports, or from what the agents' clients have counted."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from chatstore_cli.core.lru import LruMap
from chatstore_cli.core.usage.recorder import RecordedUsage, UsageRecorder
from chatstore_cli.core.usage.reported import snapshots_of
from chatstore_cli.core.workflow.agent_clients import ALL_CLIENTS, AgentClients, Amounts, Watched, agents_in
from chatstore_cli.core.workflow.open_chats import KnownChats
from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.times import Clock
from chatstore_cli.domain.usage import Usage
from chatstore_cli.domain.usage_ledger import UsageGrowth, UsageSnapshot
from chatstore_cli.domain.workflow.chats import ChatState, ChatWriter, NewChat, SavedAs, SavedEvent
from chatstore_cli.domain.workflow.events import UsageReport

_MOST_UNSTORED = 10_000
"""Sessions whose usage could not be stored yet."""


@dataclass(slots=True)
class _Unstored:
    """Usage that is to be stored. `run` is the newest run at the first attempt, unless the caller named it."""

    growth: UsageGrowth
    run: int | None


class SessionUsage:
    """Stores usage in the ledger and in the counters of sessions. May be used from several threads.

    Usage that was taken from a client belongs to its session from then on: if it cannot be stored, it is kept in memory
    until the next call for that session.
    """

    def __init__(
        self,
        recorder: UsageRecorder,
        writer: ChatWriter,
        chats: KnownChats,
        clock: Clock,
        clients: AgentClients = ALL_CLIENTS,
    ) -> None:
        self._recorder, self._writer, self._chats = recorder, writer, chats
        self._clock = clock
        self._clients = clients
        self._unstored: LruMap[str, list[_Unstored]] = LruMap(_MOST_UNSTORED)
        self._watched: dict[str, list[Watched]] = {}
        self._lock = threading.Lock()

    def record_report(
        self, chat: NewChat, report: UsageReport, event_id: str | None, run: int | None, agent: str | None
    ) -> SavedEvent:
        """Store a report of AG2. The caller holds the session's lock."""
        if not report.rows:
            return SavedEvent(SavedAs.IGNORED)
        # Loaded, not the last known state: another process may have begun a run, whose clients count from zero.
        state = self._chats.opened(chat, fresh=True)
        snapshots, problems = snapshots_of(
            report.rows,
            event_id=report.event_id or event_id,
            chat_id=state.chat_id,
            run=state.run if run is None else run,
            tenant_id=state.tenant_id,
            user_id=state.user_id,
            workflow=state.workflow,
            agent=agent,
            at=self._clock(),
        )
        self._warn(problems)
        recorded = self._recorder.record(snapshots)
        self._check_deleted(chat, recorded, lambda: self._recorder.discard(snapshots))
        if recorded.already_stored and not recorded.stored:
            return SavedEvent(SavedAs.DUPLICATE)
        return SavedEvent(SavedAs.USAGE if recorded.stored else SavedAs.IGNORED)

    def save(self, chat: NewChat, agents: object, run: int | None) -> Usage:
        """Store what the agents have used since their clients were last read. Returns what was stored."""
        problems: list[str] = []
        used = self._clients.taken(agents_in(agents), problems.append)
        self._warn(problems)
        return self._store(chat, used, run)

    @contextmanager
    def watching(self, chat: NewChat, agents: object, run: int | None) -> Iterator[None]:
        """Store what the agents use within the block, also if it raises. The block's error has precedence over one of storing."""
        problems: list[str] = []
        watched = self._clients.begin(agents_in(agents), problems.append)
        self._warn(problems)
        with self._lock:
            self._watched.setdefault(chat.chat_id, []).append(watched)
        try:
            yield
        except BaseException:
            try:
                self._unwatch(chat, watched, run)
            except ChatstoreError as error:
                self._recorder.warn_once(f"Usage of session {chat.chat_id!r} could not be stored: {error.message}")
            raise
        self._unwatch(chat, watched, run)

    def look(self, chat_id: str) -> None:
        """Notice what agents that are watched for a session have used: AG2 may replace or clear their clients later."""
        if chat_id not in self._watched:
            return
        with self._lock:
            all_watched = list(self._watched.get(chat_id, ()))
        problems: list[str] = []
        for watched in all_watched:
            self._clients.look(watched, problems.append)
        self._warn(problems)

    def _unwatch(self, chat: NewChat, watched: Watched, run: int | None) -> None:
        problems: list[str] = []
        used = self._clients.end(watched, problems.append)
        self._warn(problems)
        with self._lock:
            self._watched[chat.chat_id].remove(watched)
            if not self._watched[chat.chat_id]:
                del self._watched[chat.chat_id]
        self._store(chat, used, run)

    def _store(self, chat: NewChat, used: Amounts, run: int | None) -> Usage:
        """Store usage, after what could not be stored before."""
        with self._chats.lock(chat.chat_id):
            waiting = self._unstored.pop(chat.chat_id) or []
            if used:
                waiting.append(_Unstored(UsageGrowth(uuid.uuid4().hex, used), run))
            stored = Usage()
            try:
                while waiting:
                    stored = stored.plus(self._add(chat, waiting[0]))
                    del waiting[0]
            finally:
                if waiting and (forgotten := self._unstored.put(chat.chat_id, waiting)):
                    self._recorder.warn_once(
                        f"Usage of session {forgotten[0]!r} is lost: too many sessions had usage that could not be stored."
                    )
            return stored

    def _add(self, chat: NewChat, unstored: _Unstored) -> Usage:
        taken: set[str] = set()

        def attempt() -> RecordedUsage | None:
            state = self._chats.opened(chat, fresh=True)
            if unstored.run is None:
                unstored.run = state.run
            facts = self._facts(state, unstored.run)
            recorded = self._recorder.add(unstored.growth, facts, taken)
            if recorded is not None:
                self._check_deleted(chat, recorded, lambda: self._recorder.discard_growth(unstored.growth, facts))
            return recorded

        recorded = self._chats.until_done(chat.chat_id, attempt)
        counted = Usage()
        if not recorded.rejected:
            for usage in unstored.growth.amounts.values():
                counted = counted.plus(usage)
        return counted

    def _facts(self, state: ChatState, run: int) -> UsageSnapshot:
        """The facts of a session that all rows of its usage share."""
        return UsageSnapshot(
            event_id=None,
            chat_id=state.chat_id,
            run=run,
            tenant_id=state.tenant_id,
            user_id=state.user_id,
            workflow=state.workflow,
            agent=None,
            model=None,
            prompt_tokens=0,
            completion_tokens=0,
            total_tokens=0,
            at=self._clock(),
        )

    def _check_deleted(self, chat: NewChat, recorded: RecordedUsage, discard: Callable[[], None]) -> None:
        """Delete the usage and raise Conflict if the session was deleted since it was loaded."""
        if recorded.without_session and self._writer.is_deleted(chat.chat_id):
            if not recorded.already_stored:
                discard()
            self._chats.opened(chat, fresh=True)  # raises, unless the session was created again

    def _warn(self, problems: list[str]) -> None:
        for problem in problems:
            self._recorder.warn_once(problem)
