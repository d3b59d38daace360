"""Stores the turns of agents: each once, in order, and without the one that AG2 repeats when a session is resumed."""

from __future__ import annotations

from chatstore_cli.core.lru import LruMap
from chatstore_cli.core.segments.keeper import SegmentKeeper, make_room_for
from chatstore_cli.core.workflow.open_chats import KnownChats
from chatstore_cli.core.workflow.resume_echo import is_echo
from chatstore_cli.domain.segments import DocumentFull
from chatstore_cli.domain.times import Clock
from chatstore_cli.domain.workflow.chats import (
    Appended,
    ChatState,
    ChatWriter,
    ExpectedEcho,
    NewChat,
    SavedAs,
    SavedEvent,
)
from chatstore_cli.domain.workflow.events import AgentTurn

_MAX_REFUSED_ECHOES = 3


class TurnStore:
    """Appends turns to sessions. Callers hold the session's lock.

    `awaited` has the echoes of the runs that this process opened; they count before what other processes stored since.
    """

    def __init__(
        self,
        writer: ChatWriter,
        chats: KnownChats,
        awaited: LruMap[str, ExpectedEcho],
        keeper: SegmentKeeper | None,
        clock: Clock,
    ) -> None:
        self._writer, self._chats, self._keeper, self._clock = writer, chats, keeper, clock
        self._awaited = awaited

    def store(self, chat: NewChat, turn: AgentTurn, event_id: str, run: int | None) -> SavedEvent:
        """Store a turn; `run` is its run, if that is known."""
        refused = 0

        def attempt() -> SavedEvent | None:
            nonlocal refused
            state = self._chats.opened(chat)
            awaited = self._awaited.get(chat.chat_id)
            if awaited is None or awaited.run > state.run:
                awaited = state.expected_echo
            is_late = run is not None and awaited is not None and run < awaited.run
            if awaited is not None and not is_late and is_echo(turn, awaited):
                after = self._writer.note_echo(state, turn, awaited.run, event_id, self._clock())
                if after is not None:
                    self._awaited.pop(chat.chat_id)
                    self._chats.remember(chat.chat_id, after)
                    return SavedEvent(SavedAs.ECHO)
                refused += 1
                if refused > _MAX_REFUSED_ECHOES:  # another process has stored the echo of that run
                    self._awaited.pop(chat.chat_id)
            else:
                result = self._writer.append(state, turn, event_id, self._clock(), still_awaited=is_late)
                if isinstance(result, Appended):
                    if not is_late:
                        self._awaited.pop(chat.chat_id)
                    return self._appended(chat, result)
                if isinstance(result, DocumentFull):
                    self._make_room(chat, state, result, event_id)
            state = self._chats.opened(chat, fresh=True)
            return SavedEvent(SavedAs.DUPLICATE) if self._writer.holds_event(state, event_id) else None

        return self._chats.until_done(chat.chat_id, attempt)

    def _appended(self, chat: NewChat, appended: Appended) -> SavedEvent:
        state, keeper = appended.state, self._keeper
        self._chats.remember(chat.chat_id, state)
        if keeper is not None and keeper.after_append(state.chat_id, appended.size_bytes) is not None:
            self._chats.forget(chat.chat_id)
        return SavedEvent(SavedAs.MESSAGE, state.last_sequence)

    def _make_room(self, chat: NewChat, state: ChatState, full: DocumentFull, event_id: str) -> None:
        self._chats.forget(chat.chat_id)
        make_room_for(self._keeper, state.chat_id, event_id, full)
