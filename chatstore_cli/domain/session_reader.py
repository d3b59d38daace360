"""The ports through which use cases read sessions.

Adapters are in `mongo/`, and `wiring/` selects them. Methods raise only errors of `domain/errors.py`: an adapter translates
the errors of its driver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from chatstore_cli.domain.foreign import ForeignDocuments
    from chatstore_cli.domain.indexes.specs import IndexSpec
    from chatstore_cli.domain.message import Message
    from chatstore_cli.domain.queries import MessageSelection, SessionKey, SessionQuery
    from chatstore_cli.domain.session import Expiry, Session

NameField = Literal["tenant", "user"]


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

    def find(self, session_id: str, count_to: int | None = None) -> Session | None:
        """The facts of one session, or None.

        Messages that are stored one by one are counted up to `count_to`, and all of them without it. The times of a
        session with more messages than that may be those of a list.
        """

    def messages(self, session_id: str, selection: MessageSelection) -> Iterator[Message]:
        """A session's messages in their order, streamed. Raises NotFound if the session does not exist."""

    def all_facts(self, query: SessionQuery) -> Iterator[Session]:
        """Every session that matches, in any order, with its usage: for reports. No message bodies.

        With `among` in the query only these sessions are read.
        """


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


@runtime_checkable
class SessionCounter(Protocol):
    """A reader that counts sessions without reading what a list shows of them."""

    def count(self, query: SessionQuery, limit: int) -> int:
        """How many sessions pass the indexed filters of the query; it stops at `limit`.

        The count includes sessions that lists leave out because no text addresses them.
        """


@runtime_checkable
class ReaderInOneStream(Protocol):
    """A reader for which reading all sessions page by page would take too long."""

    def all_newest_first(self, query: SessionQuery, after: SessionKey | None) -> Iterator[Session]:
        """Every session that matches, as `newest_first` returns them."""


@runtime_checkable
class ReaderOfMessageUsage(Protocol):
    """A reader of sessions whose usage is in their messages, so that a list does not have it."""

    def with_usage(self, sessions: Sequence[Session]) -> list[Session]:
        """The same sessions with their usage."""


@runtime_checkable
class ReaderWithoutUsage(Protocol):
    """A reader of sessions that have no tokens and no cost."""

    has_no_usage: Literal[True]


@runtime_checkable
class ReaderOfModels(Protocol):
    """A reader of sessions whose stored usage names models."""

    def having_used(self, model: str, session_ids: Sequence[str]) -> Collection[str]:
        """Those of the sessions whose stored usage names the model."""


@runtime_checkable
class ReaderBySequence(Protocol):
    """A reader whose messages are in the order of their sequences.

    A message without a sequence comes first, or follows one with a sequence and is selected like that one.
    """

    orders_by_sequence: Literal[True]


@runtime_checkable
class ReaderByTime(Protocol):
    """A reader whose messages are in the order of their times."""

    def messages_from(self, session_id: str, instant: datetime, at_once: int) -> Iterator[Message] | None:
        """The messages from the second of this instant on, in their order; None if the stored times have several forms.

        About `at_once` of them are fetched in one answer.
        """

    def messages_until(self, session_id: str, instant: datetime, at_once: int) -> Iterator[Message] | None:
        """The messages up to the end of this instant's second, the newest first; None as for `messages_from`."""


MOST_NAMES = 100_000
"""A reader returns at most one name more than this, those with the most sessions first."""


class NameTotal(NamedTuple):
    """A tenant or a user: how many sessions there are, and when the last one was updated."""

    name: str | None
    """None for sessions without one."""
    sessions: int
    updated_at: datetime | None


@runtime_checkable
class ReaderOfNames(Protocol):
    """A reader that knows the tenants and users of its sessions without reading each session."""

    def totals_by(self, field: NameField, tenant_id: str | None) -> Iterator[NameTotal]:
        """The sessions of each tenant or user, in any order; a name may come several times. Only of a tenant, if given."""


@runtime_checkable
class ReaderWithTimeLimit(Protocol):
    """A reader that can be stopped."""

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """Limit the total time of all operations inside; they raise Unreachable when it is over."""


@runtime_checkable
class ReaderOfIds(Protocol):
    """A reader that finds the beginnings of ids in an index."""

    def ids_beginning_with(self, prefix: str, limit: int) -> list[str]:
        """At most `limit` ids of sessions that begin with this text."""
