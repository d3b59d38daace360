"""Deleting a session: planned before it is done (DESIGN section 4, promise 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chatstore_cli.core.sessions import find_session
from chatstore_cli.domain.errors import NotAllowed
from chatstore_cli.domain.ports import SessionReader
from chatstore_cli.domain.removal import SessionRemover, StoredPart
from chatstore_cli.domain.times import Clock, utc_now


@dataclass(frozen=True)
class Removal:
    """One session that is to be deleted, and what goes with it."""

    session_id: str
    layout: str
    parts: list[StoredPart]
    remover: SessionRemover
    keep_usage: bool = False

    @property
    def plan(self) -> str:
        """What would be deleted, in words."""
        documents = " and ".join(
            f"{part.documents:,} document{'' if part.documents == 1 else 's'} of {part.collection}"
            for part in self.parts
            if part.documents
        )
        return f"Session {self.session_id!r} ({self.layout}): {documents} would be deleted, for good."

    def carry_out(self, clock: Clock = utc_now) -> list[StoredPart]:
        """Delete it, and give what was deleted."""
        return self.remover.remove(self.session_id, clock(), keep_usage=self.keep_usage)


def plan_removal(readers: Sequence[SessionReader], session_id: str, *, keep_usage: bool = False) -> Removal:
    """What deleting the session would take away; its usage too, unless that is kept. Raises NotFound, and Conflict where two layouts have the id."""
    reader, session = find_session(readers, session_id)
    if not isinstance(reader, SessionRemover):
        raise NotAllowed(what=f"Sessions of the layout {reader.layout} cannot be deleted.")
    parts = reader.parts(session.session_id, keep_usage=keep_usage)
    return Removal(session.session_id, reader.layout, parts, reader, keep_usage)
