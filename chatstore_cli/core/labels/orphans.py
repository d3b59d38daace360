"""Labels of sessions that no longer exist: an application deleted them, or they expired."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from chatstore_cli.domain.session_reader import ReaderWithRemarks

if TYPE_CHECKING:
    from chatstore_cli.domain.labels import LabelStore, SessionRef
    from chatstore_cli.domain.session_reader import SessionReader


class OrphanedLabels:
    """Finds and deletes them."""

    def __init__(self, readers: Sequence[SessionReader], labels: LabelStore) -> None:
        self._readers = {reader.layout: reader for reader in readers}
        self._labels = labels
        self.not_examined = 0
        """Labels whose sessions could not be looked up: the layout is not used, or the user may not read it."""

    def find(self) -> Iterator[SessionRef]:
        """The sessions that have labels and no longer exist. Each is looked up."""
        for ref, exists in self.examined():
            if exists is None:
                self.not_examined += 1
            elif not exists:
                yield ref

    def examined(self) -> Iterator[tuple[SessionRef, bool | None]]:
        """The sessions that have labels, and whether each exists; None if that is not known."""
        for ref in self._labels.every():
            yield ref, self._exists(ref)

    def remove(self, ref: SessionRef) -> int:
        """Delete the labels of a session, unless it exists again. Returns the number of deleted documents."""
        return self._labels.remove(ref) if self._exists(ref) is False else 0

    def _exists(self, ref: SessionRef) -> bool | None:
        """None if that is not known."""
        reader = self._readers.get(ref.layout)
        if reader is None:
            return None
        if reader.find(ref.session_id) is not None:
            return True
        return None if isinstance(reader, ReaderWithRemarks) and reader.remarks else False
