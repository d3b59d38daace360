"""The ports: what the use cases need from the outside, named for what they do.

Adapters live in `mongo/` and `files/`; `wiring.py` chooses them. Methods raise the errors of `domain/errors.py`
only: a driver's own errors are translated by the adapter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

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


class SampleStore(Protocol):
    """The database of `chatstore demo`: nothing but samples, so that it can be dropped as a whole."""

    def holds_others(self) -> bool:
        """Whether there is anything in it that the demo did not make."""
        ...

    def contents(self) -> dict[str, int]:
        """Its collections with about how many documents each holds; empty where there is no such database."""
        ...

    def replace(self, sessions: Sequence[Mapping[str, Any]]) -> None:
        """Drop what is there, mark the database as the demo's own and store these workflow sessions."""
        ...

    def drop(self) -> None:
        """Drop the whole database."""
        ...


class SampleFolder(Protocol):
    """The folder of `chatstore demo`: journals and the configuration that leads to them."""

    path: Path

    def holds_others(self) -> bool:
        """Whether there is anything in it that the demo did not make."""
        ...

    def replace(self, files: Mapping[str, str]) -> None:
        """Remove what is there, mark the folder as the demo's own and write these files: relative path -> text."""
        ...

    def remove(self) -> None:
        """Remove the whole folder; it need not exist."""
        ...


@runtime_checkable
class Remarking(Protocol):
    """A reader that has something to say about how its last answer came about, such as a missing index."""

    remarks: list[str]


@runtime_checkable
class Expiring(Protocol):
    """A reader whose messages the database deletes by itself."""

    def expiry(self, session_id: str) -> Expiry:
        """When the oldest and the newest message of a session go."""
        ...
