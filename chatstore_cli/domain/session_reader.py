"""The ports through which use cases read sessions.

Adapters are in `mongo/`, and `wiring/` selects them. Methods raise only errors of `domain/errors.py`: an adapter translates
the errors of its driver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chatstore_cli.domain.foreign import ForeignDocuments
    from chatstore_cli.domain.indexes.specs import IndexSpec
    from chatstore_cli.domain.message import Message
    from chatstore_cli.domain.queries import MessageSelection, SessionKey, SessionQuery
    from chatstore_cli.domain.session import Expiry, Session


class SessionReader(Protocol):
    """Reads the sessions of one layout. Every layout has one."""

    layout: str

    def index_specs(self) -> tuple[IndexSpec, ...]:
        """The indexes that the layout needs."""

    def unanswerable(self, query: SessionQuery) -> list[str]:
        """The names of the query's filters for which this layout has no field; then its sessions are left out."""

    def newest_first(self, query: SessionQuery, after: SessionKey | None, limit: int) -> Iterator[Session]:
        """At most `limit` sessions that match, in descending order of SessionKey, strictly below `after`.

        The cost is that of the requested sessions: an index scan without message bodies.
        """

    def find(self, session_id: str) -> Session | None:
        """The facts of one session, or None."""

    def messages(self, session_id: str, selection: MessageSelection) -> Iterator[Message]:
        """A session's messages in their order, streamed. Raises NotFound if the session does not exist."""

    def all_facts(self, query: SessionQuery) -> Iterator[Session]:
        """Every session that matches, in any order, with its usage: for reports. No message bodies."""


@runtime_checkable
class ReaderWithRemarks(Protocol):
    """A reader with remarks on its last answer, for example about a missing index."""

    remarks: list[str]


@runtime_checkable
class ReaderOfCollection(Protocol):
    """A reader of a collection that may not exist."""

    def is_absent(self) -> bool:
        """Whether the collection does not exist, so that the layout has no sessions."""


@runtime_checkable
class ReaderOfOwnDocuments(Protocol):
    """A reader that leaves out documents that are not its layout's own."""

    @property
    def foreign(self) -> ForeignDocuments | None:
        """What it left out; None if it has not looked."""


@runtime_checkable
class ReaderOfAddressableSessions(Protocol):
    """A reader that leaves out sessions whose stored id no text can address: a boolean, a list, an object, invalid UTF-8."""

    unaddressable: int
    """How many of these its last answer met."""


@runtime_checkable
class ReaderWithExpiry(Protocol):
    """A reader of messages that expire."""

    def expiry(self, session_id: str) -> Expiry:
        """When the oldest and the newest message of a session expire."""
