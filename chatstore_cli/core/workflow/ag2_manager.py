"""Stores the sessions of AG2 agents, event by event and each turn once, so that a session can be resumed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from chatstore_cli.core.lru import LruMap
from chatstore_cli.core.segments.keeper import SegmentKeeper
from chatstore_cli.core.usage.recorder import UsageRecorder
from chatstore_cli.core.warn_once import WarnOnce
from chatstore_cli.core.workflow.ag2_events import USER_NAMES, read_event
from chatstore_cli.core.workflow.chat_reader import ChatReader
from chatstore_cli.core.workflow.lifecycle import ChatLifecycle, StatusAction, end_of_run
from chatstore_cli.core.workflow.open_chats import KnownChats, checked_chat, checked_id, checked_tenant
from chatstore_cli.core.workflow.session_usage import SessionUsage
from chatstore_cli.core.workflow.turns import TurnStore
from chatstore_cli.core.workflow.usage_owners import UsageOwners
from chatstore_cli.domain.errors import BadValue, Conflict
from chatstore_cli.domain.session import SessionStatus
from chatstore_cli.domain.session_reader import SessionReader
from chatstore_cli.domain.times import Clock, utc_now
from chatstore_cli.domain.usage import Usage
from chatstore_cli.domain.workflow.chats import (
    ChatWriter,
    ExpectedEcho,
    NewChat,
    ResumedChat,
    SavedAs,
    SavedEvent,
    StatusChange,
    StoredChat,
    Transition,
    state_in_words,
)
from chatstore_cli.domain.workflow.events import (
    AgentTurn,
    NothingToStore,
    RunEnded,
    RunFailed,
    UnknownEvent,
    UsageOwner,
    UsageReport,
)

_MAX_RUN = 2**31


@dataclass(frozen=True, slots=True)
class EventPorts:
    """What the manager works with. Without a `keeper`, a document grows until the server rejects it."""

    writer: ChatWriter
    reader: SessionReader
    usage: UsageRecorder
    keeper: SegmentKeeper | None = None
    warn: Callable[[str], None] = lambda _: None
    clock: Clock = utc_now


class AG2Manager:
    """Stores what AG2's agents emit. May be used from several threads and processes at once.

    `user_names` are further speakers with the role user, in lower or upper case. A method that uses a stored session takes
    its tenant as `enterprise_id`, or `any_tenant=True` for a caller that may use the sessions of every tenant.
    """

    def __init__(self, ports: EventPorts, *, user_names: Collection[str] = ()) -> None:
        self._writer, self._usage = ports.writer, ports.usage
        self._warn, self._clock = WarnOnce(ports.warn), ports.clock
        self._user_names = USER_NAMES | {name.lower() for name in user_names}
        self._chats = KnownChats(ports.writer, ports.clock)
        self._lifecycle = ChatLifecycle(ports.writer, self._chats, ports.clock)
        self._session_usage = SessionUsage(ports.usage, ports.writer, self._chats, ports.clock)
        self._owners = UsageOwners()
        awaited: LruMap[str, ExpectedEcho] = LruMap()
        self._turns = TurnStore(ports.writer, self._chats, awaited, ports.keeper, ports.clock)
        self._stored = ChatReader(ports.writer, ports.reader, self._chats, awaited, ports.clock)
        self.unknown_events: Counter[str] = Counter()
        """The number of events of each unknown type."""

    def save_event(
        self,
        event: object,
        *,
        chat_id: str,
        enterprise_id: str,
        user_id: str | None = None,
        workflow_name: str | None = None,
        event_id: str | None = None,
        run: int | None = None,
        agent: str | None = None,
        source: str | None = None,
    ) -> SavedEvent:
        """Store an event of AG2: an object of `autogen.events`, its dump, or its JSON.

        The same event again changes nothing. The first event creates the session. `event_id` identifies an event that
        has no uuid; `run` is the event's run if it is not the newest one (1 is the first); `agent` is the owner of usage
        that is not delivered in AG2's order. `source` is stored with a turn as how it arrived. Raises BadValue; OtherTenant; Conflict if the session was deleted on
        purpose; DocumentRefused for a message over 16 MiB; Unreachable, after which the call can be repeated.
        """
        _checked_run(run)
        if event_id is not None:
            checked_id("event_id", event_id)
        if agent is not None:
            checked_id("agent", agent)
        meaning = read_event(event, user_names=self._user_names)
        if isinstance(meaning, NothingToStore):
            return SavedEvent(SavedAs.IGNORED)
        if isinstance(meaning, UnknownEvent):
            self.unknown_events[meaning.event_type] += 1
            self._warn(f"Events of type {meaning.event_type!r} are unknown and are not stored.")
            return SavedEvent(SavedAs.UNKNOWN)
        chat = checked_chat(chat_id, enterprise_id, user_id, workflow_name)
        if isinstance(meaning, UsageOwner):
            self._owners.note(chat.chat_id, meaning.agent)
            return SavedEvent(SavedAs.IGNORED)
        self._session_usage.look(chat.chat_id)
        with self._chats.lock(chat.chat_id):
            if isinstance(meaning, AgentTurn):
                for alteration in meaning.alterations:
                    self._warn(f"Session {chat.chat_id!r}: a message has {alteration}.")
                meaning = replace(meaning, source=source)
                return self._turns.store(chat, meaning, _identity(meaning, event_id), run)
            if isinstance(meaning, UsageReport):
                owner = agent or self._owners.of(chat.chat_id)
                return self._session_usage.record_report(chat, meaning, event_id, run, owner)
            return self._end_run(chat, meaning, run)

    def save_usage(
        self,
        agents: object,
        *,
        chat_id: str,
        enterprise_id: str,
        user_id: str | None = None,
        workflow_name: str | None = None,
        run: int | None = None,
    ) -> Usage:
        """Store what agents have used since the last call, or `usage_of`, in this process. Returns what was stored.

        `agents` is an agent of AG2 or several; a group chat's manager includes the agents of its group. A client that
        several agents share counts once. `run` and the errors are those of `save_event`. After Unreachable, the usage is
        kept for the session until the next call for it.
        """
        chat = checked_chat(chat_id, enterprise_id, user_id, workflow_name)
        return self._session_usage.save(chat, agents, _checked_run(run))

    def usage_of(
        self,
        agents: object,
        *,
        chat_id: str,
        enterprise_id: str,
        user_id: str | None = None,
        workflow_name: str | None = None,
        run: int | None = None,
    ) -> AbstractContextManager[None]:
        """A context manager that stores what the agents use in its block, as `save_usage` does, also if the block raises."""
        chat = checked_chat(chat_id, enterprise_id, user_id, workflow_name)
        return self._session_usage.watching(chat, agents, _checked_run(run))

    def _end_run(self, chat: NewChat, end: RunEnded | RunFailed, run: int | None) -> SavedEvent:
        def attempt() -> SavedEvent | None:
            state = self._chats.opened(chat, fresh=True)
            if isinstance(end, RunEnded) and len(end.speakers) > 1 and state.addressed_to not in (None, *end.speakers):
                return SavedEvent(SavedAs.IGNORED)  # the end of a chat that is nested within a turn
            if end.event_id is not None and self._writer.has_ended(state, end.event_id):
                return SavedEvent(SavedAs.DUPLICATE)
            change = end_of_run(state, end)
            if run is not None and run < state.run:
                change = StatusChange(ends_run=end.event_id)  # the newest run determines the status
            if change.status is None and change.ends_run is None:
                return SavedEvent(SavedAs.IGNORED)
            after = self._writer.change(state, change, self._clock())
            if after is None:
                return None
            self._chats.remember(chat.chat_id, after)
            return SavedEvent(SavedAs.IGNORED if change.status is None else SavedAs.STATUS)

        return self._chats.until_done(chat.chat_id, attempt)

    def create_session(
        self, chat_id: str, *, enterprise_id: str, user_id: str | None = None, workflow_name: str | None = None
    ) -> Transition:
        """Create a session; an existing one of this tenant stays as it is. Raises OtherTenant."""
        chat = checked_chat(chat_id, enterprise_id, user_id, workflow_name)
        with self._chats.lock(chat.chat_id):
            before = self._writer.load(chat.chat_id)
            state = self._chats.opened(chat, fresh=True)
            return Transition(state.chat_id, state.status, state.paused, changed=before is None)

    def start_run(self, chat_id: str, *, enterprise_id: str | None = None, any_tenant: bool = False) -> int:
        """Begin a run and return its number; the agents' usage counts from zero. The session is set to running.

        If the newest run has no message and no usage yet, its number is returned. Raises BadValue, NotFound,
        OtherTenant, and Conflict if the session is paused.
        """
        tenant_id = checked_tenant(enterprise_id, any_tenant)

        def attempt() -> int | None:
            state = self._chats.existing(chat_id, tenant_id)
            if state.paused:
                raise Conflict(
                    what=f"Session {state.chat_id!r} is {state_in_words(state.status, state.paused)}, and cannot start a run.",
                    hint="Unpause it first.",
                )
            is_untouched = state.status is SessionStatus.RUNNING and state.is_at_start
            if is_untouched and not self._usage.has_reports(state.chat_id, state.run):
                return state.run
            after = self._writer.open_run(state, None, True, self._clock())
            self._chats.forget(chat_id)
            return None if after is None else after.run

        with self._chats.lock(checked_id("chat_id", chat_id)):
            return self._chats.until_done(chat_id, attempt)

    def history(
        self,
        chat_id: str,
        enterprise_id: str | None = None,
        *,
        any_tenant: bool = False,
        limit: int | None = None,
    ) -> StoredChat:
        """A session and its messages as they are stored, or only the newest `limit`. Nothing is written.

        Raises BadValue, NotFound and OtherTenant.
        """
        return self._stored.history(chat_id, checked_tenant(enterprise_id, any_tenant), limit)

    def resume_chat(
        self,
        chat_id: str,
        *,
        enterprise_id: str | None = None,
        any_tenant: bool = False,
        remove_termination_string: str | Callable[[str], str] | None = None,
    ) -> ResumedChat:
        """The history of a session for AG2, at any status, and a new run that continues it.

        AG2 emits the last message again as the first one of the run; it is recognised and not stored twice. From this
        message `remove_termination_string` is removed, or if that is a function, it replaces the text, as AG2's `resume`
        does, so that the chat does not end at once. Raises BadValue, NotFound and OtherTenant.
        """
        return self._stored.resume(chat_id, checked_tenant(enterprise_id, any_tenant), remove_termination_string)

    def mark_completed(self, chat_id: str, *, enterprise_id: str | None = None, any_tenant: bool = False) -> Transition:
        """Complete a running session. Raises NotFound, OtherTenant; Conflict if it failed or is paused."""
        return self._lifecycle.apply(StatusAction.COMPLETE, chat_id, checked_tenant(enterprise_id, any_tenant))

    def mark_failed(
        self, chat_id: str, reason: str | None = None, *, enterprise_id: str | None = None, any_tenant: bool = False
    ) -> Transition:
        """Fail a running or paused session. Raises NotFound, OtherTenant; Conflict if it is completed."""
        return self._lifecycle.apply(StatusAction.FAIL, chat_id, checked_tenant(enterprise_id, any_tenant), reason)

    def pause(
        self, chat_id: str, reason: str | None = None, *, enterprise_id: str | None = None, any_tenant: bool = False
    ) -> Transition:
        """Pause a running session. Raises NotFound, OtherTenant; Conflict if it has ended."""
        return self._lifecycle.apply(StatusAction.PAUSE, chat_id, checked_tenant(enterprise_id, any_tenant), reason)

    def unpause(self, chat_id: str, *, enterprise_id: str | None = None, any_tenant: bool = False) -> Transition:
        """Unpause a session. Raises NotFound and OtherTenant."""
        return self._lifecycle.apply(StatusAction.UNPAUSE, chat_id, checked_tenant(enterprise_id, any_tenant))


def _checked_run(run: int | None) -> int | None:
    """The number of a run, None for the newest. Raises BadValue."""
    if run is not None and (not isinstance(run, int) or isinstance(run, bool) or not 1 <= run < _MAX_RUN):
        raise BadValue(name="run", value=str(run)[:60], expected="the number of a run: 1 or more")
    return run


def _identity(turn: AgentTurn, event_id: str | None) -> str:
    if turn.event_id is not None:
        return turn.event_id
    if event_id is None:
        raise BadValue(
            name=f"event of type {turn.event_type}",
            value=None,
            expected="an event with a `uuid`, by which a second delivery is recognised",
            hint="Pass an event_id of your own to save_event.",
        )
    return event_id
