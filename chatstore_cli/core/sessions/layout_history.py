"""The newest messages of a session of any layout, in the form in which `history` shows flat messages."""

from __future__ import annotations

from collections.abc import Sequence

from chatstore_cli.core.readers import find_session
from chatstore_cli.core.sessions.history import ChatHistory, HistoryMessage
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.session_reader import SessionReader

THREADS = "threads"


def layout_history(
    readers: Sequence[SessionReader], session_id: str, limit: int, *, threads_on_postgres: bool
) -> tuple[ChatHistory, Session]:
    """The newest `limit` messages and their session. Raises NotFound, and Conflict if two layouts have the id.

    These layouts have no journal, so every message is persisted. Its source is the database that has it.
    """
    reader, session = find_session(readers, session_id)
    on_postgres = threads_on_postgres and session.layout == THREADS
    messages = [
        HistoryMessage(message, "postgres" if on_postgres else "mongo", True)
        for message in reader.messages(session_id, MessageSelection(last=limit))
    ]
    times = [shown.message.created_at for shown in messages if shown.message.created_at is not None]
    return ChatHistory(session_id, messages, last_persisted_at=max(times, default=None)), session
