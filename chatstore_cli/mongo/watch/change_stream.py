"""A change stream that resumes after every fault of the server, and reports when it could not."""

from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pymongo.errors as driver
from bson.timestamp import Timestamp
from pymongo.change_stream import DatabaseChangeStream

from chatstore_cli.domain.errors import Unreachable
from chatstore_cli.mongo.connection import Connection, Document, driver_errors, translate

BATCH_SIZE = 500
"""Events in one batch."""

_WAIT_MILLISECONDS = 100
_NOT_A_REPLICA_SET = 40573
_CANNOT_RESUME = frozenset({286, 280, 260, 10334})
"""The oplog no longer has the resume token, or the token is not valid, or an event is too large to be sent."""

_CLOCK_DIFFERENCE = timedelta(minutes=1)


class ChangeStream:
    """The changes of one database that pass a pipeline, each once. Use it from one thread."""

    def __init__(
        self, connection: Connection, pipeline: list[Document], activity: str, batch_size: int = BATCH_SIZE
    ) -> None:
        self._connection = connection
        self._pipeline = pipeline
        self._activity = activity
        self._batch_size = batch_size
        self._stream: DatabaseChangeStream[Document] | None = None
        self._token: Any = None
        self._after_invalidation = False
        self._complete_until = datetime.now(UTC)
        self._missed_since: datetime | None = None

    def open(self) -> bool:
        """Start with what happens from now on. False if the server has no change streams. Raises Unreachable, NotAllowed."""
        if self._connection.in_memory:
            return False
        try:
            self._start()
        except driver.OperationFailure as error:
            if error.code == _NOT_A_REPLICA_SET:
                return False
            raise translate(error, self._activity) from error
        except driver.PyMongoError as error:
            raise translate(error, self._activity) from error
        return True

    def read(self) -> tuple[list[Document], datetime | None]:
        """The next events, or none after a short wait; and the instant since when events were missed, or None.

        After Unreachable the next call resumes after the last event that was returned.
        """
        events: list[Document] = []
        try:
            if self._missed_since is not None:
                return [], self._restart(self._missed_since)
            self._collect(events)
        except driver.PyMongoError as error:
            self.close()
            if isinstance(error, driver.OperationFailure) and error.code in _CANNOT_RESUME:
                self._token = None
                self._missed_since = self._complete_until - _CLOCK_DIFFERENCE
            elif not events:
                raise translate(error, self._activity) from error
        return events, None

    def _restart(self, missed_since: datetime) -> datetime:
        """Start with what happens from now on. The caller may query what it missed only after this, not before."""
        self._start()
        self._missed_since = None
        self._complete_until = datetime.now(UTC)
        return missed_since

    def _collect(self, events: list[Document]) -> None:
        stream = self._stream or self._start()
        deadline = time.monotonic() + _WAIT_MILLISECONDS / 1000
        while len(events) < self._batch_size:
            event = stream.try_next()
            self._token = stream.resume_token or self._token
            if event is None:
                self._complete_until = datetime.now(UTC)
                break
            if event["operationType"] == "invalidate":  # the database was dropped, which ends the stream
                self._after_invalidation = True
                self.close()
                return
            events.append(event)
            self._complete_until = event["clusterTime"].as_datetime()
            if time.monotonic() > deadline:
                break
        if not stream.alive:
            self.close()

    def _start(self) -> DatabaseChangeStream[Document]:
        option = "start_after" if self._after_invalidation else "resume_after"
        stream = self._connection.database.watch(
            self._pipeline,
            max_await_time_ms=_WAIT_MILLISECONDS,
            batch_size=self._batch_size,
            **({option: self._token} if self._token is not None else {}),
        )
        self._after_invalidation = False
        self._stream = stream
        self._token = stream.resume_token or self._token
        return stream

    def narrow(self, pipeline: list[Document]) -> None:
        """Continue with another pipeline, after the last event that was returned."""
        self._pipeline = pipeline
        self.close()

    def position(self) -> int:
        """The server's present position: every change so far has this position or a smaller one."""
        with driver_errors(self._activity), self._connection.client.start_session() as session:
            self._connection.database.command("ping", session=session)
            now = session.operation_time
        if now is None:
            raise Unreachable(what=f"{self._activity}: the server did not return its operation time.")
        return position_of(now)

    def close(self) -> None:
        """Release the server's cursor. The next `read` resumes."""
        stream, self._stream = self._stream, None
        if stream is not None:
            with contextlib.suppress(driver.PyMongoError):
                stream.close()


class StreamFeed:
    """What the feeds on a change stream have in common."""

    _stream: ChangeStream

    def open(self) -> bool:
        """Start with what happens from now on. False if the server is not a replica set."""
        return self._stream.open()

    def position(self) -> int:
        """The server's present position among all changes."""
        return self._stream.position()

    def close(self) -> None:
        """Release the server's cursor."""
        self._stream.close()


def position_of(cluster_time: Timestamp) -> int:
    """A cluster time as a number in the same order."""
    return (cluster_time.time << 32) | cluster_time.inc
