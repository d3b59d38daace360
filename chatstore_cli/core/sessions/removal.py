"""Deleting a session: a plan that can be shown before it is carried out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chatstore_cli.core.readers import find_session
from chatstore_cli.core.usage.recorder import carry_over_counters
from chatstore_cli.domain.errors import NotAllowed, NotFound
from chatstore_cli.domain.labels import LabelStore, SessionRef
from chatstore_cli.domain.quantities import documents_in_words, quantity
from chatstore_cli.domain.removal import SessionRemover, StoredPart, whose
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.session_reader import SessionReader
from chatstore_cli.domain.times import Clock
from chatstore_cli.domain.usage_ledger import UsageLedger


@dataclass(frozen=True)
class Removal:
    """The plan to delete one session and its documents."""

    session_id: str
    layout: str
    parts: list[StoredPart]
    remover: SessionRemover
    kept_in: Callable[[str], UsageLedger] | None = None
    labels: LabelStore | None = None
    session: Session | None = None
    """None if only remains of an incomplete deletion are left."""

    @property
    def plan(self) -> str:
        """The documents that would be deleted, in words."""
        kept = "" if self.kept_in is None else " Its usage is kept in the ledger."
        documents = documents_in_words(self.parts)
        return f"{self._subject}: {documents} would be deleted. A later flush does not restore it.{kept}"

    def report(self, removed: Sequence[StoredPart]) -> str:
        """The documents that `carry_out` has deleted, in the words of the plan."""
        is_one = sum(part.documents for part in removed) == 1
        return f"{self._subject}: {documents_in_words(removed)} {'was' if is_one else 'were'} deleted."

    @property
    def _subject(self) -> str:
        facts = [] if self.session is None else [whose(self.session), quantity(self.session.message_count, "message")]
        return f"Session {self.session_id!r} ({', '.join(each for each in (self.layout, *facts) if each)})"

    def carry_out(self, clock: Clock) -> list[StoredPart]:
        """Delete the session and return the deleted documents. `clock` is the server's.

        With `kept_in`, usage that only its counters have is kept.
        """
        if self.kept_in is not None:
            carry_over_counters(self.kept_in(self.layout), self.session_id)
        removed = self.remover.remove(self.session_id, clock(), keep_usage=self.kept_in is not None)
        if self.labels is None:
            return removed
        ref = SessionRef(self.layout, self.session_id)
        return [*removed, StoredPart(self.labels.collection, self.labels.remove(ref))]


def plan_removal(
    readers: Sequence[SessionReader],
    session_id: str,
    *,
    kept_in: Callable[[str], UsageLedger] | None = None,
    labels: LabelStore | None = None,
) -> Removal:
    """The plan to delete a session, with its usage unless `kept_in`, which opens a layout's ledger, keeps that.

    If the session does not exist, the plan contains the remains of an incomplete deletion. Raises NotFound, and Conflict
    if two layouts have the id.
    """
    keep_usage = kept_in is not None
    try:
        reader, session = find_session(readers, session_id)
    except NotFound:
        for remover in readers:
            if not isinstance(remover, SessionRemover):
                continue
            parts = remover.parts(session_id, keep_usage=keep_usage)
            parts = [*parts, *_counted(labels, SessionRef(remover.layout, session_id))]
            if any(part.documents for part in parts):
                return Removal(session_id, remover.layout, parts, remover, kept_in, labels)
        raise
    if not isinstance(reader, SessionRemover):
        raise NotAllowed(
            what=f"Sessions of the layout {reader.layout} cannot be deleted.", hint="chatstore only reads this layout."
        )
    parts = reader.parts(session.session_id, keep_usage=keep_usage)
    parts = [*parts, *_counted(labels, SessionRef(reader.layout, session.session_id))]
    return Removal(session.session_id, reader.layout, parts, reader, kept_in, labels, session)


def _counted(labels: LabelStore | None, session: SessionRef) -> list[StoredPart]:
    """The labels of a session as a part of it."""
    return [] if labels is None else [StoredPart(labels.collection, labels.count(session))]
