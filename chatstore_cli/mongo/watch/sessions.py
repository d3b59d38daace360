"""Changes of the sessions of several layouts, in one order, from one change stream, without message bodies.

Each layout says which changes concern it, and makes rows of them. The stream does not look up updated documents: that
would load all their messages, and an event over 16 MiB breaks the stream. Instead each layout fetches the facts of all
updated sessions of a batch at once. So a row has the facts of the moment when it was read, which may be newer than the
change.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from chatstore_cli.domain.session import Session
from chatstore_cli.domain.watch import Batch, Change, SessionChange, SessionEvent
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.watch.change_stream import ChangeStream, StreamFeed, position_of

REMEMBERED_SESSIONS = 20_000
"""Sessions of a layout whose facts are remembered: those of a deleted session cannot be read any more."""

_ACTIVITY = "following the changes of sessions"
_COMMON_FIELDS: Document = {"operationType": 1, "ns.coll": 1, "documentKey": 1, "clusterTime": 1, "wallTime": 1}


class SessionChanges(Protocol):
    """How the sessions of one layout change. Methods raise the driver's own errors."""

    def conditions(self) -> list[Document]:
        """The changes that can concern the layout: conditions on a change event, of which one has to be met."""

    def fields(self) -> Document:
        """What it needs of a change event besides its kind, place and time, as a `$project` stage. No message bodies."""

    def concerns(self, change: Document) -> bool:
        """Whether a row of this layout may show the change."""

    def read_facts(self, changes: Sequence[Document]) -> None:
        """Read what the rows of these changes show. Called once for a batch, and again with the same one after an error."""

    def event(self, change: Document) -> SessionEvent | None:
        """The row of a change whose facts were read; None if there is nothing to show. Reads nothing."""


def session_event(
    kind: Change,
    session: Session,
    change: Document,
    written_at: datetime | None,
    *,
    only_document_id: bool = False,
) -> SessionEvent:
    """The event of a session that a change of the database brought. `written_at` is the time that its writer stored."""
    wall_time: datetime | None = change.get("wallTime")
    changed_at = wall_time if wall_time is not None else change["clusterTime"].as_datetime()
    return SessionEvent(
        SessionChange(kind, session, changed_at, only_document_id), position_of(change["clusterTime"]), written_at
    )


class MongoSessionFeed(StreamFeed):
    """Reports the changes of sessions of some layouts from `open` on."""

    def __init__(self, connection: Connection, layouts: Sequence[SessionChanges]) -> None:
        self._layouts = layouts
        conditions: list[Document] = [{"operationType": "invalidate"}]
        fields = dict(_COMMON_FIELDS)
        for layout in layouts:
            conditions += layout.conditions()
            fields |= layout.fields()
        pipeline: list[Document] = [{"$match": {"$or": conditions}}, {"$project": fields}]
        self._stream = ChangeStream(connection, pipeline, _ACTIVITY)
        self._unreported: tuple[list[Document], datetime | None] | None = None

    def read(self) -> Batch[SessionEvent]:
        """The next events. After Unreachable the next call returns the same events."""
        if self._unreported is None:
            self._unreported = self._stream.read()
        changes, missed_since = self._unreported
        events = self._events(changes)
        self._unreported = None
        return Batch(events, missed_since)

    def _events(self, changes: Sequence[Document]) -> list[SessionEvent]:
        owned = [(layout, change) for change in changes if (layout := self._concerned(change)) is not None]
        with driver_errors(_ACTIVITY):  # before any event is made: making one changes what a layout remembers
            for layout in self._layouts:
                if own := [change for owner, change in owned if owner is layout]:
                    layout.read_facts(own)
        return [event for layout, change in owned if (event := layout.event(change)) is not None]

    def _concerned(self, change: Document) -> SessionChanges | None:
        return next((layout for layout in self._layouts if layout.concerns(change)), None)
