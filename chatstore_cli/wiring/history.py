"""A session's history from its journals and from the database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

FLAT_MESSAGES = "messages"
"""The layout whose sessions have journals."""

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chatstore_cli.core.sessions.history import ChatHistory
    from chatstore_cli.domain.field_mapping import FieldMapping
    from chatstore_cli.domain.history import JournalTail
    from chatstore_cli.domain.session import Session
    from chatstore_cli.domain.session_reader import SessionReader
    from chatstore_cli.mongo.messages.history import MongoHistory
    from chatstore_cli.wiring.stores import Stores


def session_history(stores: Stores, session_id: str, limit: int) -> tuple[ChatHistory, JournalTail]:
    """The history, and what was read from the journals in mongo.cache.disk_path.

    The journals are read first: a message that a worker stores meanwhile is then in both and recognised, never in neither.
    If the journals cannot be read, the tail's `failure` is the error, and MongoDB is read nevertheless.
    """
    from chatstore_cli.core.sessions.history import history_of
    from chatstore_cli.domain.errors import ChatstoreError
    from chatstore_cli.domain.history import JournalTail
    from chatstore_cli.wiring.journals import field_mapping

    try:
        mapping = field_mapping(stores.settings)
        tail = journal_tail(Path(stores.settings.mongo.cache.disk_path), session_id, limit, mapping)
    except ChatstoreError as error:
        tail = JournalTail(complete=False, failure=error)

    open_storage = (lambda: stored_history(stores)) if stores.settings.mongo.enabled else None
    return history_of(tail.journals, open_storage, session_id, limit), tail


def other_layouts_history(
    stores: Stores, readers: Callable[[], Sequence[SessionReader]], session_id: str, limit: int, layout: str | None
) -> tuple[ChatHistory, Session] | None:
    """The history of a session of this layout, or of any layout other than flat messages; None if none has the id.

    `readers` are those of the layout, or of all layouts. It is not called without a database.
    None is returned too if there is no database to ask. Raises Conflict if two layouts have the id.
    """
    from chatstore_cli.core.sessions.layout_history import layout_history
    from chatstore_cli.domain.errors import NotFound

    settings = stores.settings
    if layout is None and not settings.mongo.enabled and not settings.threads_on_postgres:
        return None
    searched = [each for each in readers() if layout is not None or each.layout != FLAT_MESSAGES]
    try:
        return layout_history(searched, session_id, limit, threads_on_postgres=settings.threads_on_postgres)
    except NotFound:
        if layout is not None:
            raise
        return None


def stored_history(stores: Stores) -> MongoHistory:
    """The reader of a session's newest messages in MongoDB."""
    from chatstore_cli.mongo.messages.history import MongoHistory

    return MongoHistory(stores.connection, stores.settings.messages_collection)


def journal_tail(folder: Path, session_id: str, limit: int, mapping: FieldMapping | None = None) -> JournalTail:
    """The newest messages of a session in a folder of journals; none if the folder does not exist."""
    from chatstore_cli.domain.errors import BadValue, ChatstoreError
    from chatstore_cli.domain.history import JournalTail
    from chatstore_cli.files.journal_tail import read_tail

    try:
        next(folder.iterdir(), None)
        return read_tail(folder, session_id, limit, mapping)
    except (FileNotFoundError, BadValue):  # no cache on this machine, or an id that no journal can have
        return JournalTail()
    except OSError as error:
        raise ChatstoreError(what=f"{folder}: {error.strerror or error}") from error
