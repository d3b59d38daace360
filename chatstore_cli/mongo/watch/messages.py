"""Changes of one session's messages from a change stream."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from chatstore_cli.domain.watch import Batch, MessageEvent
from chatstore_cli.mongo.connection import Connection, Document
from chatstore_cli.mongo.watch.change_stream import ChangeStream, StreamFeed

_BATCH_SIZE = 100
"""Events in one batch: each may contain a large message."""

COMMON_FIELDS: Document = {"operationType": 1, "documentKey": 1, "clusterTime": 1, "ns.coll": 1}
"""What every pipeline has to project."""


class MessageChanges(Protocol):
    """How the messages of one session change in its layout."""

    is_replaced: bool
    """Whether another document has become the session's, so that `pipeline` returns another one. The feed resets it."""

    def pipeline(self) -> list[Document]:
        """The changes of the session, as a pipeline on change events."""

    def events(self, change: Document) -> list[MessageEvent]:
        """The events that one change brings."""

    def refresh(self) -> None:
        """Look the session up again, because changes were missed. Raises Unreachable."""


class MongoMessageFeed(StreamFeed):
    """Reports the changes of one session's messages from `open` on."""

    def __init__(self, connection: Connection, changes: MessageChanges, session_id: str) -> None:
        self._changes = changes
        activity = f"following session {session_id!r}"
        self._stream = ChangeStream(connection, changes.pipeline(), activity, _BATCH_SIZE)
        self._missed_since: datetime | None = None

    def read(self) -> Batch[MessageEvent]:
        """The next events. After Unreachable the next call resumes."""
        if self._changes.is_replaced:
            self._stream.narrow(self._changes.pipeline())
            self._changes.is_replaced = False
        found: list[Document] = []
        if self._missed_since is None:
            found, self._missed_since = self._stream.read()
        missed_since = self._missed_since
        if missed_since is not None:
            self._changes.refresh()  # if it fails, the next call has to report what was missed
            self._missed_since = None
        return Batch([event for change in found for event in self._changes.events(change)], missed_since)
