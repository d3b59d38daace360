"""The port that deletes sessions."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from chatstore_cli.domain.errors import Conflict
from chatstore_cli.domain.times import rfc3339

if TYPE_CHECKING:
    from chatstore_cli.domain.session import Session


_LONGEST_TITLE = 60


class StoredPart(NamedTuple):
    """Documents of one session in one collection."""

    collection: str
    documents: int


class SessionChanged(Conflict):
    """Session {session_id!r} has changed since its deletion was planned: {how}."""

    kind = "session_changed"

    @property
    def how(self) -> str:
        """What has changed, in words."""
        return str(self.facts["how"])


class SessionState(NamedTuple):
    """What a session was when its deletion was planned: if it is another one now, it is not deleted."""

    created_at: datetime | None
    updated_at: datetime | None
    message_count: int

    @classmethod
    def of(cls, session: Session) -> SessionState:
        """The state of a session whose messages were all counted."""
        return cls(session.created_at, session.updated_at, session.message_count)

    def require(self, session_id: str, now: SessionState) -> None:
        """Raise SessionChanged if the session is in another state now."""
        if now.created_at != self.created_at:
            raise SessionChanged(
                session_id=session_id, how=f"it was created at {_text(now.created_at)}, not at {_text(self.created_at)}"
            )
        if now.message_count != self.message_count:
            raise SessionChanged(
                session_id=session_id, how=f"it has {now.message_count:,} messages instead of {self.message_count:,}"
            )
        if now.updated_at != self.updated_at:
            raise SessionChanged(
                session_id=session_id, how=f"it was updated at {_text(now.updated_at)}, not at {_text(self.updated_at)}"
            )


def changed_at_this_moment(session_id: str) -> SessionChanged:
    """The error if the condition of the deleting command itself did not hold any more."""
    return SessionChanged(session_id=session_id, how="it was changed at this moment")


def _text(instant: datetime | None) -> str:
    return rfc3339(instant) or "an unknown time"


@runtime_checkable
class SessionRemover(Protocol):
    """Deletes sessions of one layout."""

    def parts(self, session_id: str, *, keep_usage: bool = False) -> list[StoredPart]:
        """The documents of a session by collection; with `keep_usage` without its rows in the usage ledger."""

    def remove(
        self,
        session_id: str,
        deleted_at: datetime,
        *,
        keep_usage: bool = False,
        expected: SessionState | None = None,
    ) -> list[StoredPart]:
        """Delete the session at this instant, by the server's clock. Returns the deleted documents.

        With `expected`, raises SessionChanged and deletes nothing if the session is in another state. The remains of an
        interrupted deletion are deleted. A layout whose sessions a journal or an application could store again leaves a tombstone.
        """


def whose(session: Session) -> str:
    """The title, user and tenant of a session, as far as it has them: such as `'Refund', user 'ana', tenant 'acme'`."""
    title = session.title
    if title is not None and len(title) > _LONGEST_TITLE:
        title = f"{title[:_LONGEST_TITLE]}…"
    facts = (("", title), ("user ", session.user_id), ("tenant ", session.tenant_id))
    return ", ".join(f"{noun}{value!r}" for noun, value in facts if value)
