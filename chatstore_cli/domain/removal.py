"""The port that deletes sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from datetime import datetime


class StoredPart(NamedTuple):
    """Documents of one session in one collection."""

    collection: str
    documents: int


@runtime_checkable
class SessionRemover(Protocol):
    """Deletes sessions of one layout."""

    def parts(self, session_id: str, *, keep_usage: bool = False) -> list[StoredPart]:
        """The documents of a session by collection; with `keep_usage` without its rows in the usage ledger."""

    def remove(self, session_id: str, deleted_at: datetime, *, keep_usage: bool = False) -> list[StoredPart]:
        """Delete the session at this instant, by the server's clock. Returns the deleted documents.

        A layout whose sessions a journal or an application could store again leaves a tombstone.
        """
