"""Reads the sessions of AG2 agents back: to show them, or to resume them."""

from __future__ import annotations

from collections.abc import Callable

from chatstore_cli.core.lru import LruMap
from chatstore_cli.core.workflow.open_chats import KnownChats, checked_id
from chatstore_cli.core.workflow.resume_echo import echo_of
from chatstore_cli.domain.errors import BadValue
from chatstore_cli.domain.history import check_limit
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.domain.session_reader import SessionReader
from chatstore_cli.domain.times import Clock
from chatstore_cli.domain.workflow.chats import ChatWriter, ExpectedEcho, ResumedChat, StoredChat
from chatstore_cli.domain.workflow.repairs import Repairs
from chatstore_cli.transcripts import ag2

_LARGEST_LIMIT = 2**31 - 1


class ChatReader:
    """Reads one session at a time. `awaited` receives the echo that AG2 emits when a resumed session continues."""

    def __init__(
        self,
        writer: ChatWriter,
        reader: SessionReader,
        chats: KnownChats,
        awaited: LruMap[str, ExpectedEcho],
        clock: Clock,
    ) -> None:
        self._writer, self._reader = writer, reader
        self._chats, self._awaited = chats, awaited
        self._clock = clock

    def history(self, chat_id: str, tenant_id: str | None, limit: int | None) -> StoredChat:
        """A session and its newest `limit` messages, all for None. Writes nothing. Raises BadValue, NotFound, OtherTenant."""
        checked_id("chat_id", chat_id)
        if limit is not None:
            check_limit(limit, _LARGEST_LIMIT)
        state = self._chats.existing(chat_id, tenant_id)
        messages = list(self._reader.messages(state.chat_id, MessageSelection(last=limit)))
        return StoredChat(state.chat_id, state.user_id, state.workflow, state.run, state.status, state.paused, messages)

    def resume(
        self, chat_id: str, tenant_id: str | None, remove_termination_string: str | Callable[[str], str] | None
    ) -> ResumedChat:
        """The history of a session for AG2, and its next run, which begins now. Raises BadValue, NotFound, OtherTenant."""
        checked_id("chat_id", chat_id)
        if not (remove_termination_string is None or isinstance(remove_termination_string, str | Callable)):
            kind = f"<{type(remove_termination_string).__name__}>"
            raise BadValue(name="remove_termination_string", value=kind, expected="text or a function of the text")

        def attempt() -> ResumedChat | None:
            state = self._chats.existing(chat_id, tenant_id)
            repairs = Repairs()
            every = list(self._reader.messages(state.chat_id, MessageSelection()))
            messages = [message for message in every if not message.from_general_agent]
            rows = list(ag2.rows(messages, repairs))
            if rows and isinstance(rows[-1]["content"], str):
                rows[-1] |= {"content": _without_end(rows[-1]["content"], remove_termination_string)}
            managers = ag2.group_managers(messages)
            echo = echo_of(rows[-1], state.run + 1, managers[-1] if managers else None) if rows else None
            # The run is opened only if no message was stored since: then the history is complete.
            after = self._writer.open_run(state, echo, False, self._clock())
            self._chats.forget(chat_id)
            if after is None:
                return None
            if echo is not None:
                self._awaited.put(chat_id, echo)
            left_out = len(every) - len(messages)
            notes = [f"Messages of the general agent that were left out: {left_out}"] if left_out else []
            notes += repairs.notes()
            return ResumedChat(state.chat_id, after.run, state.status, state.paused, rows, notes)

        with self._chats.lock(chat_id):
            return self._chats.until_done(chat_id, attempt)


def _without_end(text: str, removal: str | Callable[[str], str] | None) -> str:
    """The last message without the text that would end the session at once."""
    if callable(removal):
        return str(removal(text))
    return text.replace(removal, "") if removal else text
