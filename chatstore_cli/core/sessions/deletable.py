"""The sessions that match filters, of the layouts in which chatstore deletes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from chatstore_cli.core.labels.labelled import tagged_sessions
from chatstore_cli.core.readers import split_by_answer
from chatstore_cli.core.sessions.listing import AllSessions
from chatstore_cli.domain.errors import NotAllowed
from chatstore_cli.domain.removal import SessionRemover
from chatstore_cli.domain.session_reader import ReaderOfCollection, SessionReader

if TYPE_CHECKING:
    from chatstore_cli.domain.labels import LabelStore
    from chatstore_cli.domain.queries import SessionQuery
    from chatstore_cli.domain.session import Session


class DeletableSessions:
    """Every session that matches a query, as a stream. `notes` name the sessions that are left out, after the last one."""

    def __init__(self, readers: Sequence[SessionReader], query: SessionQuery, labels: LabelStore | None) -> None:
        """Raises NotAllowed if the query names a layout that chatstore only reads."""
        removers = [reader for reader in readers if isinstance(reader, SessionRemover)]
        only_read = [reader.layout for reader in readers if not isinstance(reader, SessionRemover) and _exists(reader)]
        if query.layout is not None and not removers:
            raise NotAllowed(
                what=f"Sessions of the layout {query.layout} cannot be deleted.",
                hint="chatstore only reads this layout.",
            )
        self.notes = [f"Sessions of the layout {each} are left out: chatstore only reads it." for each in only_read]
        self._readers, self._query, self._labels = removers, query, labels

    def __iter__(self) -> Iterator[Session]:
        if self._query.tag is not None and self._labels is not None and self._query == self._query.indexed:
            answering, notes = split_by_answer(self._readers, self._query)
            yield from tagged_sessions(answering, self._query, self._labels)  # any number, in no order
        else:
            every = AllSessions(self._readers, self._query, labels=self._labels)
            yield from every
            notes = every.notes()
        self.notes += notes


def _exists(reader: SessionReader) -> bool:
    return not (isinstance(reader, ReaderOfCollection) and reader.is_absent())
