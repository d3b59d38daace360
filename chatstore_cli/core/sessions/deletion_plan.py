"""Deleting many sessions: a plan with the state of each session, and its execution, which leaves what has changed.

A plan can be kept in a file (plan_file.py) and be carried out again after an interruption: sessions that no longer exist
are reported as already deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from chatstore_cli.core.labels.labelled import ref_of
from chatstore_cli.core.usage.recorder import carry_over_counters
from chatstore_cli.domain.deletions import Deletion, PlannedSession, Result
from chatstore_cli.domain.errors import ChatstoreError, NotAllowed, WrongUse
from chatstore_cli.domain.labels import NO_LABELS, Labels, LabelStore, SessionRef
from chatstore_cli.domain.quantities import quantity
from chatstore_cli.domain.removal import SessionChanged, SessionRemover, SessionState, StoredPart, whose

if TYPE_CHECKING:
    from chatstore_cli.domain.session import Session
    from chatstore_cli.domain.session_reader import SessionReader
    from chatstore_cli.domain.times import Clock
    from chatstore_cli.domain.usage_ledger import UsageLedger

MOST_PLANNED = 2_000_000
"""The most sessions of one plan."""


def once_each(sessions: Iterable[Session]) -> Iterator[Session]:
    """The sessions, each once. Raises WrongUse for more than MOST_PLANNED, whose hashes would take too much memory."""
    seen: set[int] = set()
    for session in sessions:
        if (key := hash(ref_of(session))) not in seen:
            seen.add(key)
            yield session
        if len(seen) > MOST_PLANNED:
            raise WrongUse(
                what=f"More than {MOST_PLANNED:,} sessions would be deleted.",
                hint="Narrow the filters, and make several plans.",
            )


class SessionDeletions:
    """Plans and carries out the deletion of sessions of several layouts."""

    def __init__(
        self,
        readers: Sequence[SessionReader],
        labels: LabelStore | None,
        clock_of: Callable[[str], Clock],
        *,
        kept_in: Callable[[str], UsageLedger] | None = None,
    ) -> None:
        """`clock_of` returns the server's clock for a layout. `kept_in` opens its ledger, to keep the usage of sessions."""
        self._readers = {reader.layout: reader for reader in readers}
        self._labels = labels
        self._clock_of = clock_of
        self._kept_in = kept_in

    def plan(self, sessions: Iterable[Session]) -> Iterator[PlannedSession]:
        """The sessions with their states and documents, as they are read. One that is gone by now is left out.

        Raises NotAllowed for a session of a layout that chatstore only reads.
        """
        for each in sessions:
            session = self._readers[each.layout].find(each.session_id)
            if session is None:
                continue
            ref = ref_of(session)
            documents = {part.collection: part.documents for part in self._parts(ref) if part.documents}
            yield PlannedSession(ref, SessionState.of(session), self._labels_of(ref).tags, documents, whose(session))

    def carry_out(self, planned: PlannedSession) -> Deletion:
        """Delete one session, unless it has changed. May be called again for a session that was deleted, also in part."""
        ref = planned.session
        remover, reader = self._remover(ref.layout), self._readers[ref.layout]
        session = reader.find(ref.session_id)
        while True:
            try:
                self._require_documents(planned, session)
                if session is not None and self._kept_in is not None:
                    carry_over_counters(self._kept_in(ref.layout), ref.session_id)
                now = self._clock_of(ref.layout)()
                keep_usage = self._kept_in is not None
                parts = remover.remove(ref.session_id, now, keep_usage=keep_usage, expected=planned.state)
                break
            except SessionChanged as error:
                before, session = session, reader.find(ref.session_id)
                if session == before:
                    return Deletion(ref, Result.CHANGED, reason=error.how)
                # It has changed since it was looked up: another process may be deleting it too.
        if self._labels is not None:
            parts = [*parts, StoredPart(self._labels.collection, self._labels.remove(ref))]
        parts = [part for part in parts if part.documents]
        return Deletion(ref, Result.DELETED if parts else Result.ALREADY_DELETED, parts)

    def _require_documents(self, planned: PlannedSession, session: Session | None) -> None:
        """Raise SessionChanged if the session has other documents or tags than planned.

        Fewer documents are no change if the session is gone, or has fewer messages: then a deletion was interrupted, or
        the layout itself notices the change.
        """
        ref = planned.session
        may_be_fewer = session is None or session.message_count < planned.state.message_count
        if session is not None and not may_be_fewer:
            planned.state.require(ref.session_id, SessionState.of(session))
        for part in self._parts(ref):
            expected = planned.documents.get(part.collection, 0)
            if part.documents > expected or (part.documents < expected and not may_be_fewer):
                how = f"{part.collection} has {quantity(part.documents, 'document')} of it instead of {expected:,}"
                raise SessionChanged(session_id=ref.session_id, how=how)
        if session is not None and (tags := self._labels_of(ref).tags) != planned.tags:
            how = f"it has the tags {list(tags)!r} instead of {list(planned.tags)!r}"
            raise SessionChanged(session_id=ref.session_id, how=how)

    def _parts(self, ref: SessionRef) -> list[StoredPart]:
        parts = self._remover(ref.layout).parts(ref.session_id, keep_usage=self._kept_in is not None)
        if self._labels is not None:
            parts = [*parts, StoredPart(self._labels.collection, self._labels.count(ref))]
        return parts

    def _labels_of(self, ref: SessionRef) -> Labels:
        return NO_LABELS if self._labels is None else self._labels.of([ref]).get(ref, NO_LABELS)

    def _remover(self, layout: str) -> SessionRemover:
        """The reader of a layout as one that deletes. Raises NotAllowed if chatstore only reads the layout."""
        reader = self._readers.get(layout)
        if reader is None:
            raise ChatstoreError(
                what=f"The plan has sessions of the layout {layout}, which is not used with this configuration.",
                hint="For the layouts that are used, see: chatstore config show",
            )
        if not isinstance(reader, SessionRemover):
            raise NotAllowed(
                what=f"Sessions of the layout {layout} cannot be deleted.", hint="chatstore only reads this layout."
            )
        return reader
