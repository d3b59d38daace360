"""The index by which an append finds out whether its message is already stored in a segment."""

from __future__ import annotations

from collections.abc import Callable

from chatstore_cli.core.indexes import compare
from chatstore_cli.domain.errors import ChatstoreError, Unreachable
from chatstore_cli.domain.indexes.findings import IndexState
from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.mongo.connection import Connection, driver_errors
from chatstore_cli.mongo.maintenance.index_store import MongoIndexStore

_FEW_SEGMENTS = 100
"""Up to this many, building the index is cheap enough for an application that only wanted to append a message."""


def segment_index_specs(collection: str) -> tuple[IndexSpec, ...]:
    """The index of the segments, on the collection of that name."""
    keys = (("chat_id", 1), ("messages.event_id", 1))
    return (
        IndexSpec(collection, "chat_event_idx", keys, why="finds whether a message is already stored in a segment"),
    )


class SegmentIndex:
    """Creates the index of a missing or small segments collection; of a large one without it, it warns once."""

    def __init__(self, connection: Connection, collection: str, warn: Callable[[str], None]) -> None:
        self._segments = connection.collection(collection)
        self._indexes = MongoIndexStore(connection, connection)
        self._warn = warn
        self._is_checked = False

    def ensure(self) -> None:
        """Check the index the first time this is called. Raises Unreachable."""
        if self._is_checked:
            return
        self._is_checked = True
        (spec,) = segment_index_specs(self._segments.name)
        try:
            problem = self._problem(spec)
        except Unreachable:
            self._is_checked = False
            raise
        except ChatstoreError as error:
            problem = f"could not be checked or created ({error.message})"
        if problem is not None:
            self._warn(
                f"Index {spec.name} on {spec.collection} {problem}. Without it, each append to a session that has "
                "segments reads the whole collection. To create it, run: chatstore indexes apply"
            )

    def _problem(self, spec: IndexSpec) -> str | None:
        """The reason why the index cannot be used, in words; None if it exists or was created."""
        finding = compare([spec], self._indexes.stored(spec.collection))[0]
        if finding.state is IndexState.OK:
            return None
        with driver_errors(f"counting the segments of {spec.collection}"):
            is_small = self._segments.estimated_document_count() <= _FEW_SEGMENTS
        if finding.state is not IndexState.MISSING or not is_small:
            return f"is {finding.state.value}"
        self._indexes.create(spec, spec.name)
        return None
