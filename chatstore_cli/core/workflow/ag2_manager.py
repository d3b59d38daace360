"""Keeping the chats of AG2 agents: each event is stored as it comes, each turn once, so that a chat can be resumed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass

from chatstore_cli.core.lru import LruMap
from chatstore_cli.core.usage.recorder import UsageRecorder, snapshots_of
from chatstore_cli.core.workflow.ag2_events import USER_NAMES, read_event
from chatstore_cli.core.workflow.lifecycle import ChatLifecycle, Step, end_of_run
from chatstore_cli.core.workflow.open_chats import KnownChats, checked_chat, checked_id
from chatstore_cli.core.workflow.resume_echo import echo_of
from chatstore_cli.core.workflow.segment_keeper import SegmentKeeper
from chatstore_cli.core.workflow.turns import TurnStore
from chatstore_cli.core.workflow.usage_owners import UsageOwners
from chatstore_cli.domain.errors import BadValue, Conflict
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.domain.session import SessionStatus
from chatstore_cli.domain.session_reader import SessionReader
from chatstore_cli.domain.times import Clock, utc_now
from chatstore_cli.domain.workflow.chats import (
    ChatWriter,
    ExpectedEcho,
    NewChat,
    ResumedChat,
    SavedAs,
    SavedEvent,
    StatusChange,
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
from chatstore_cli.domain.workflow.repairs import Repairs
from chatstore_cli.transcripts import ag2

_MOST_WARNINGS = 1_000
_MOST_RUNS = 2**31


@dataclass(frozen=True, slots=True)
class EventPorts:
    """What the manager works on. Without `keeper` a document grows until the server refuses it."""

    writer: ChatWriter
    reader: SessionReader
    usage: UsageRecorder
    keeper: SegmentKeeper | None = None
    warn: Callable[[str], None] = lambda _: None
    clock: Clock = utc_now


class AG2PersistenceManager:
    """Stores what AG2's agents emit, chat by chat. May be used from several threads and processes at once.

    `user_names` are speakers to be taken as the user, besides the usual ones; in any case.
    """

    def __init__(self, ports: EventPorts, *, user_names: Collection[str] = ()) -> None:
        self._writer, self._reader = ports.writer, ports.reader
        self._usage = ports.usage
        self._warn, self._clock = ports.warn, ports.clock
        self._user_names = USER_NAMES | {name.lower() for name in user_names}
        self._chats = KnownChats(ports.writer, ports.clock)
        self._lifecycle = ChatLifecycle(ports.writer, self._chats, ports.clock)
        self._owners = UsageOwners()
        self._awaited: LruMap[str, ExpectedEcho] = LruMap()
        self._turns = TurnStore(ports.writer, self._chats, self._awaited, ports.keeper, ports.clock)
        self._warned: set[str] = set()
        self.unknown_events: Counter[str] = Counter()
        """How many events of each type came that nobody here has heard of."""

    # --- events ------------------------------------------------------------------------------------------------------

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
    ) -> SavedEvent:
        """Store what an event of AG2 means for a chat: an object of `autogen.events`, its dump, or its JSON.

        Called again with the same event it changes nothing. The chat is created by its first event. `event_id` is for
        events that have no uuid of their own, `run` for those of another run than the newest (1 is the first), `agent`
        for usage that is not delivered in the order in which AG2 emits it. Raises BadValue; Conflict where the chat is
        another tenant's or was deleted on purpose; DocumentRefused for a message over 16 MiB; Unreachable, after which
        calling again is right.
        """
        if run is not None and (not isinstance(run, int) or isinstance(run, bool) or not 1 <= run < _MOST_RUNS):
            raise BadValue(name="run", value=str(run)[:60], expected="the number of a run: 1 or more")
        if event_id is not None:
            checked_id("event_id", event_id)
        if agent is not None:
            checked_id("agent", agent)
        meaning = read_event(event, user_names=self._user_names)
        if isinstance(meaning, NothingToStore):
            return SavedEvent(SavedAs.IGNORED)
        if isinstance(meaning, UnknownEvent):
            self.unknown_events[meaning.event_type] += 1
            self._warn_once(f"Events of type {meaning.event_type!r} are not known here, and are not stored.")
            return SavedEvent(SavedAs.UNKNOWN)
        chat = checked_chat(chat_id, enterprise_id, user_id, workflow_name)
        if isinstance(meaning, UsageOwner):
            self._owners.note(chat.chat_id, meaning.agent)
            return SavedEvent(SavedAs.IGNORED)
        with self._chats.lock(chat.chat_id):
            if isinstance(meaning, AgentTurn):
                for oddity in meaning.oddities:
                    self._warn_once(f"Session {chat.chat_id!r}: a message has {oddity}.")
                return self._turns.store(chat, meaning, _identity(meaning, event_id), run)
            if isinstance(meaning, UsageReport):
                return self._record_usage(chat, meaning, event_id, run, agent)
            return self._end_run(chat, meaning, run)

    def _record_usage(
        self, chat: NewChat, report: UsageReport, event_id: str | None, run: int | None, agent: str | None
    ) -> SavedEvent:
        if not report.rows:
            return SavedEvent(SavedAs.IGNORED)
        # Looked up and not remembered: another process may have begun a run, whose clients count from zero.
        state = self._chats.opened(chat, fresh=True)
        snapshots, odd = snapshots_of(
            report.rows,
            event_id=report.event_id or event_id,
            chat_id=state.chat_id,
            run=state.run if run is None else run,
            tenant_id=state.tenant_id,
            user_id=state.user_id,
            workflow=state.workflow,
            agent=agent or self._owners.of(chat.chat_id),
            at=self._clock(),
        )
        for what in odd:
            self._usage.tell(what)
        recorded = self._usage.record(snapshots)
        if recorded.without_session and self._writer.is_deleted(chat.chat_id):
            # It was deleted since it was looked up, and so was its usage: what came too late goes as well.
            if not recorded.already_stored:
                self._usage.discard(snapshots)
            self._chats.opened(chat, fresh=True)  # raises, unless it has been made again
        if recorded.already_stored and not recorded.stored:
            return SavedEvent(SavedAs.DUPLICATE)
        return SavedEvent(SavedAs.USAGE if recorded.stored else SavedAs.IGNORED)

    def _end_run(self, chat: NewChat, end: RunEnded | RunFailed, run: int | None) -> SavedEvent:
        def attempt() -> SavedEvent | None:
            state = self._chats.opened(chat, fresh=True)
            if isinstance(end, RunEnded) and len(end.between) > 1 and state.addressed_to not in (None, *end.between):
                return SavedEvent(SavedAs.IGNORED)  # a talk of others, nested within a turn
            if end.event_id is not None and self._writer.has_ended(state, end.event_id):
                return SavedEvent(SavedAs.DUPLICATE)
            change = end_of_run(state, end)
            if run is not None and run < state.run:
                change = StatusChange(ends_run=end.event_id)  # the session stands as its newest run does
            if change.status is None and change.ends_run is None:
                return SavedEvent(SavedAs.IGNORED)
            after = self._writer.change(state, change, self._clock())
            if after is None:
                return None
            self._chats.remember(chat.chat_id, after)
            return SavedEvent(SavedAs.IGNORED if change.status is None else SavedAs.STATUS)

        return self._chats.until_done(chat.chat_id, attempt)

    # --- runs and states ---------------------------------------------------------------------------------------------

    def create_session(
        self, chat_id: str, *, enterprise_id: str, user_id: str | None = None, workflow_name: str | None = None
    ) -> Transition:
        """Create a chat; where there is one of this tenant already, that one is left as it is. Raises Conflict."""
        chat = checked_chat(chat_id, enterprise_id, user_id, workflow_name)
        with self._chats.lock(chat.chat_id):
            before = self._writer.load(chat.chat_id)
            state = self._chats.opened(chat, fresh=True)
            return Transition(state.chat_id, state.status, state.paused, changed=before is None)

    def start_run(self, chat_id: str, *, enterprise_id: str | None = None) -> int:
        """Begin a run, and give its number: the agents and what they use count from zero. The chat runs.

        Before anything has come of a run, the same one is given again. Raises NotFound, and Conflict where the chat is
        paused or another tenant's.
        """

        def attempt() -> int | None:
            state = self._chats.existing(chat_id, enterprise_id)
            if state.paused:
                raise Conflict(
                    what=f"Session {state.chat_id!r} is {state_in_words(state.status, state.paused)}, and cannot start a run.",
                    hint="Unpause it first.",
                )
            is_untouched = state.status is SessionStatus.RUNNING and state.last_sequence == (state.run_start or 0)
            if is_untouched and not self._usage.has_reports(state.chat_id, state.run):
                return state.run
            after = self._writer.open_run(state, None, True, self._clock())
            self._chats.forget(chat_id)
            return None if after is None else after.run

        with self._chats.lock(checked_id("chat_id", chat_id)):
            return self._chats.until_done(chat_id, attempt)

    def resume_chat(
        self,
        chat_id: str,
        *,
        enterprise_id: str | None = None,
        remove_termination_string: str | Callable[[str], str] | None = None,
    ) -> ResumedChat:
        """The history of a chat for AG2, at any status, and a new run that goes on from it.

        The history's last message is recognised when AG2 emits it again as the first of the run, and not stored twice.
        `remove_termination_string` is taken out of it, or it is what that makes of it, as AG2's `resume` would do, so
        that the chat does not end at once. Raises NotFound, and Conflict where the chat is another tenant's.
        """
        if not (remove_termination_string is None or isinstance(remove_termination_string, str | Callable)):
            kind = f"<{type(remove_termination_string).__name__}>"
            raise BadValue(name="remove_termination_string", value=kind, expected="text or a function of the text")

        def attempt() -> ResumedChat | None:
            state = self._chats.existing(chat_id, enterprise_id)
            repairs = Repairs()
            messages = list(self._reader.messages(state.chat_id, MessageSelection(include_general=False)))
            rows = list(ag2.rows(messages, repairs))
            if rows and isinstance(rows[-1]["content"], str):
                rows[-1] |= {"content": _without_end(rows[-1]["content"], remove_termination_string)}
            managers = ag2.group_managers(messages)
            echo = echo_of(rows[-1], state.run + 1, managers[-1] if managers else None) if rows else None
            # Opened only if no message has come since: then the history is whole.
            after = self._writer.open_run(state, echo, False, self._clock())
            self._chats.forget(chat_id)
            if after is None:
                return None
            if echo is not None:
                self._awaited.put(chat_id, echo)
            return ResumedChat(state.chat_id, after.run, state.status, state.paused, rows, repairs.notes())

        with self._chats.lock(checked_id("chat_id", chat_id)):
            return self._chats.until_done(chat_id, attempt)

    def mark_completed(self, chat_id: str, *, enterprise_id: str | None = None) -> Transition:
        """Complete a running chat. Raises NotFound; Conflict where it has failed, is paused, or is another tenant's."""
        return self._lifecycle.take(Step.COMPLETE, chat_id, enterprise_id)

    def mark_failed(self, chat_id: str, reason: str | None = None, *, enterprise_id: str | None = None) -> Transition:
        """Fail a running or paused chat. Raises NotFound; Conflict where it is completed, or another tenant's."""
        return self._lifecycle.take(Step.FAIL, chat_id, enterprise_id, reason)

    def pause(self, chat_id: str, reason: str | None = None, *, enterprise_id: str | None = None) -> Transition:
        """Pause a running chat. Raises NotFound; Conflict where it has ended, or is another tenant's."""
        return self._lifecycle.take(Step.PAUSE, chat_id, enterprise_id, reason)

    def unpause(self, chat_id: str, *, enterprise_id: str | None = None) -> Transition:
        """Take back a pause. Raises NotFound; Conflict where the chat is another tenant's."""
        return self._lifecycle.take(Step.UNPAUSE, chat_id, enterprise_id)

    # -----------------------------------------------------------------------------------------------------------------

    def _warn_once(self, text: str) -> None:
        if text not in self._warned and len(self._warned) < _MOST_WARNINGS:
            self._warned.add(text)
            self._warn(text)


def _without_end(text: str, taken_out: str | Callable[[str], str] | None) -> str:
    """A last message without what would end the chat at once."""
    if callable(taken_out):
        return str(taken_out(text))
    return text.replace(taken_out, "") if taken_out else text


def _identity(turn: AgentTurn, event_id: str | None) -> str:
    if turn.event_id is not None:
        return turn.event_id
    if event_id is None:
        raise BadValue(
            name=f"event of type {turn.event_type}",
            value=None,
            expected="an event with a `uuid`, without which it could not be told from a copy of it",
            hint="Give save_event an event_id of your own.",
        )
    return event_id
