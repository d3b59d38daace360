"""The ports: what the use cases need from the outside, named for what they do.

Adapters live in `mongo/` and `files/`; `wiring.py` chooses them. Methods raise the errors of `domain/errors.py`
only: a driver's own errors are translated by the adapter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chatstore_cli.domain.indexes.specs import IndexSpec
    from chatstore_cli.domain.message import Message
    from chatstore_cli.domain.queries import MessageSelection, SessionKey, SessionQuery
    from chatstore_cli.domain.session import Expiry, Session


class SessionReader(Protocol):
    """Reads the sessions of one layout. Every layout is one."""

    layout: str

    def index_specs(self) -> tuple[IndexSpec, ...]:
        """The indexes that the layout needs."""
        ...

    def unanswerable(self, query: SessionQuery) -> list[str]:
        """Names of the query's filters that this layout has no field for; its rows are then left out."""
        ...

    def newest_first(self, query: SessionQuery, after: SessionKey | None, limit: int) -> Iterator[Session]:
        """At most `limit` sessions that match, in descending order of SessionKey, strictly below `after`.

        Cost is bounded by what is asked for: an index walk, never a message body.
        """
        ...

    def find(self, session_id: str) -> Session | None:
        """The facts of one session, or None."""
        ...

    def messages(self, session_id: str, selection: MessageSelection) -> Iterator[Message]:
        """A session's messages in the order they happened, streamed. Raises NotFound where there is no such session."""
        ...

    def all_facts(self, query: SessionQuery) -> Iterator[Session]:
        """Every session that matches, in any order, with its usage: for reports. No message bodies."""
        ...


@runtime_checkable
class ReaderWithRemarks(Protocol):
    """A reader that has something to say about how its last answer came about, such as a missing index."""

    remarks: list[str]


@runtime_checkable
class ReaderWithExpiry(Protocol):
    """A reader whose messages the database deletes by itself."""

    def expiry(self, session_id: str) -> Expiry:
        """When the oldest and the newest message of a session go."""
        ...
