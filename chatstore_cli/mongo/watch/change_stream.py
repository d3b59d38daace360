"""A change stream that goes on after whatever happens to the server, and says when it could not."""

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

AT_ONCE = 500
"""Events in one answer."""

_AWAIT_MILLISECONDS = 100
_NO_REPLICA_SET = 40573
_LOST = frozenset({286, 280, 260, 10334})
"""The oplog no longer has the resume token, or nothing can be resumed from it, or an event is too large to be sent."""

_CLOCKS_DIFFER_BY = timedelta(minutes=1)


class ChangeStream:
    """The changes of one database that a pipeline lets through, each once. Use it from one thread."""

    def __init__(self, connection: Connection, pipeline: list[Document], doing: str, at_once: int = AT_ONCE) -> None:
        self._connection = connection
        self._pipeline = pipeline
        self._doing = doing
        self._at_once = at_once
        self._stream: DatabaseChangeStream[Document] | None = None
        self._token: Any = None
        self._after_invalidation = False
        self._whole_until = datetime.now(UTC)
        self._missed_since: datetime | None = None

    def open(self) -> bool:
        """Begin at this moment; False where the server has no change streams. Raises Unreachable and NotAllowed."""
        if self._connection.in_memory:
            return False
        try:
            self._start()
        except driver.OperationFailure as error:
            if error.code == _NO_REPLICA_SET:
                return False
            raise translate(error, self._doing) from error
        except driver.PyMongoError as error:
            raise translate(error, self._doing) from error
        return True

    def take(self) -> tuple[list[Document], datetime | None]:
        """The next events, none where nothing happens soon; and since when some were missed, where some were.

        Raises Unreachable; asked again, it resumes after the last event that it has given.
        """
        events: list[Document] = []
        try:
            if self._missed_since is not None:
                return [], self._begin_anew(self._missed_since)
            self._collect(events)
        except driver.PyMongoError as error:
            self.close()
            if isinstance(error, driver.OperationFailure) and error.code in _LOST:
                self._token = None
                self._missed_since = self._whole_until - _CLOCKS_DIFFER_BY
            elif not events:
                raise translate(error, self._doing) from error
        return events, None

    def _begin_anew(self, missed_since: datetime) -> datetime:
        """Begin with what happens from now on: whoever asks must begin to catch up after that, not before."""
        self._start()
        self._missed_since = None
        self._whole_until = datetime.now(UTC)
        return missed_since

    def _collect(self, events: list[Document]) -> None:
        stream = self._stream or self._start()
        until = time.monotonic() + _AWAIT_MILLISECONDS / 1000
        while len(events) < self._at_once:
            event = stream.try_next()
            self._token = stream.resume_token or self._token
            if event is None:
                self._whole_until = datetime.now(UTC)
                break
            if (
                event["operationType"] == "invalidate"
            ):  # the database was dropped: the stream ends, and a new one begins
                self._after_invalidation = True
                self.close()
                return
            events.append(event)
            self._whole_until = event["clusterTime"].as_datetime()
            if time.monotonic() > until:
                break
        if not stream.alive:
            self.close()

    def _start(self) -> DatabaseChangeStream[Document]:
        where = "start_after" if self._after_invalidation else "resume_after"
        stream = self._connection.database.watch(
            self._pipeline,
            max_await_time_ms=_AWAIT_MILLISECONDS,
            batch_size=self._at_once,
            **({where: self._token} if self._token is not None else {}),
        )
        self._after_invalidation = False
        self._stream = stream
        self._token = stream.resume_token or self._token
        return stream

    def narrow(self, pipeline: list[Document]) -> None:
        """Go on with another pipeline, after the last event that was given."""
        self._pipeline = pipeline
        self.close()

    def place(self) -> int:
        """The present place among all changes of the server."""
        with driver_errors(self._doing), self._connection.client.start_session() as session:
            self._connection.database.command("ping", session=session)
            now = session.operation_time
        if now is None:
            raise Unreachable(what=f"{self._doing}: the server does not say where it stands.")
        return place_of(now)

    def close(self) -> None:
        """Let go of the server's cursor; the next `take` resumes."""
        stream, self._stream = self._stream, None
        if stream is not None:
            with contextlib.suppress(driver.PyMongoError):
                stream.close()


def place_of(cluster_time: Timestamp) -> int:
    """A cluster time as a number that orders as it does."""
    return (cluster_time.time << 32) | cluster_time.inc
