"""The connection to PostgreSQL: a pool, time limits, transactions that are repeated if that is safe."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar
from urllib.parse import unquote

import psycopg
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from chatstore_cli.core.retry import RetryPolicy, attempt_until_done
from chatstore_cli.domain.errors import BadValue, Conflict, Unreachable
from chatstore_cli.postgres.errors import Lost, Repeat, database_errors
from chatstore_cli.postgres.json_text import from_json_text, to_json_text
from chatstore_cli.postgres.versions import state_of

Result = TypeVar("Result")

ROWS_AT_ONCE = 1_000
"""Rows of a streamed result that are in memory at the same time."""
_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
_CREDENTIALS = re.compile(r"[^:/?#@]*(:[^:/?#@]*)?")


class PostgresDatabase:
    """One PostgreSQL database. It connects on first use."""

    def __init__(self, uri: str, *, pool_size: int = 5, max_overflow: int = 10, timeout_seconds: float = 10.0) -> None:
        """`uri` is `postgresql://user:password@host:5432/database?sslmode=require` with the options of libpq.

        Connecting, each statement, and repeating a transaction take at most `timeout_seconds`. Raises BadValue.
        """
        self._url = _parsed(uri)
        self._pool_size, self._max_overflow = pool_size, max_overflow
        self._seconds = timeout_seconds
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._limit: ContextVar[int | None] = ContextVar("limit", default=None)
        """The time limit of statements, in milliseconds, if it is not the usual one."""
        self._has_tables = False
        """Whether the tables have the needed version: looked up before the first change, and after an error."""

    @property
    def target(self) -> str:
        """Server and database as text, without the user and the password."""
        host = self._url.host or self._url.query.get("host") or "local socket"
        host = host if isinstance(host, str) else host[0]
        port = f":{self._url.port}" if self._url.port else ""
        return f"{host}{port}, database {self._url.database or self._url.username or 'postgres'}"

    @property
    def engine(self) -> Engine:
        """The pool of connections."""
        with self._lock:
            if self._engine is None:
                self._engine = self._new_engine()
            return self._engine

    def _new_engine(self) -> Engine:
        milliseconds = max(1, int(self._seconds * 1000))
        options = f"-c timezone=UTC -c statement_timeout={milliseconds} -c lock_timeout={milliseconds}"
        given = self._url.query.get("options")
        return create_engine(
            self._url.difference_update_query(["options"]),
            pool_size=self._pool_size,
            max_overflow=self._max_overflow,
            pool_timeout=self._seconds,
            pool_pre_ping=True,
            hide_parameters=True,  # an error's text would have the contents of messages
            connect_args={
                "connect_timeout": max(2, round(self._seconds)),  # libpq takes 1 for 2
                "options": f"{given} {options}" if isinstance(given, str) else options,
                "application_name": "chatstore",
            },
            json_serializer=to_json_text,
            json_deserializer=from_json_text,
        )

    def change(
        self,
        doing: str,
        operation: Callable[[Connection], Result],
        *,
        repeatable: bool = True,
        takes_long: bool = False,
        needs_tables: bool = True,
    ) -> Result:
        """The result of an operation in one transaction.

        It is repeated after serialization failures, deadlocks and lost connections, unless `repeatable` is False. If the
        answer to a commit was lost, the repetition may find nothing to do any more, and have a false result such as None:
        then the result before counts. `takes_long` takes the time limit off its statements; locks are still waited for no
        longer. With `needs_tables` the tables must have the version that this program needs. Raises the errors of
        domain/errors.py.
        """
        unconfirmed: Result | None = None

        def once() -> Result:
            nonlocal unconfirmed
            finished: list[Result] = []
            try:
                with self.engine.begin() as connection:
                    if needs_tables:
                        self._require_tables(connection)
                    if takes_long:
                        connection.execute(text("SET LOCAL statement_timeout = 0"))
                    finished.append(operation(connection))
            except DBAPIError as error:
                if finished and error.connection_invalidated:
                    unconfirmed = finished[0]
                raise
            return unconfirmed if unconfirmed is not None and not finished[0] else finished[0]

        return self._call(doing, once, repeatable=repeatable)

    def outside_transaction(self, doing: str, statement: str) -> None:
        """Execute a statement that no transaction can have, without a time limit, for example to build an index."""
        with database_errors(doing), self.engine.connect() as connection:
            unbound = connection.execution_options(isolation_level="AUTOCOMMIT")
            unbound.execute(text("SET statement_timeout = 0"))
            unbound.exec_driver_sql(statement)
            unbound.execute(text("RESET statement_timeout"))

    def read(self, doing: str, operation: Callable[[Connection], Result]) -> Result:
        """The result of an operation that only reads. It is repeated after lost connections."""

        limit = self._limit.get()

        def once() -> Result:
            with self.engine.connect() as connection:
                if limit is not None:
                    connection.execute(text(f"SET LOCAL statement_timeout = {limit}"))
                return operation(connection)

        return self._call(doing, once, repeatable=True)

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Limit each statement that `read` runs inside. It raises Overdue when the time is over."""
        before = self._limit.set(max(1, int(min(seconds, self._seconds) * 1000)))
        try:
            yield
        finally:
            self._limit.reset(before)

    @contextmanager
    def reading(self, doing: str) -> Iterator[Connection]:
        """A connection for reading, on which results are streamed: they may be larger than the memory."""
        try:
            with database_errors(doing), self.engine.connect() as connection:
                yield connection.execution_options(stream_results=True, yield_per=ROWS_AT_ONCE)
        except Repeat as error:  # the caller has some of the rows already
            raise _too_busy(doing) from error.__cause__

    def reach(self, seconds: float) -> None:
        """Raise Unreachable if the server does not answer. A connection attempt takes at most the time limit."""
        started = time.monotonic()
        with database_errors("connecting to PostgreSQL"), self.engine.connect():
            if time.monotonic() - started > seconds:
                raise Unreachable(what="Connecting to PostgreSQL took too long.")

    def close(self) -> None:
        """Close the pool. A later use connects again."""
        with self._lock:
            engine, self._engine = self._engine, None
            self._has_tables = False
        if engine is not None:
            engine.dispose()

    def _require_tables(self, connection: Connection) -> None:
        if not self._has_tables:
            state_of(connection, self.target).require_current()
            self._has_tables = True

    def _call(self, doing: str, once: Callable[[], Result], *, repeatable: bool) -> Result:
        deadline = time.monotonic() + self._seconds

        def attempt() -> tuple[Result] | None:
            try:
                with database_errors(doing):
                    return (once(),)
            except Repeat as error:
                if not repeatable or time.monotonic() > deadline:
                    raise _too_busy(doing) from error.__cause__
                return None
            except Unreachable as error:
                self._has_tables = False  # they may be the reason
                if repeatable and isinstance(error, Lost):
                    raise
                raise _Final(error) from None

        try:
            [result] = RetryPolicy(self._seconds, say=lambda _: None).call(
                lambda: attempt_until_done(attempt, lambda: _too_busy(doing))
            )
        except _Final as final:
            raise final.error from final.error.__cause__
        return result


class _Final(Exception):
    """An error that a repetition would not change."""

    def __init__(self, error: Unreachable) -> None:
        super().__init__()
        self.error = error


def _too_busy(doing: str) -> Conflict:
    return Conflict(
        what=f"{doing[:1].upper()}{doing[1:]} failed: other processes change the same rows.", hint="Try again."
    )


def _parsed(uri: str) -> URL:
    credentials = uri.partition("//")[2].rpartition("@")[0]
    try:
        url = make_url(uri)
    except (ArgumentError, ValueError):
        url = None
    # Errors of libpq quote hosts and unknown options, and a part of a password that is not encoded looks like one.
    if (
        url is None
        or url.drivername not in _SCHEMES
        or not _CREDENTIALS.fullmatch(credentials)
        or not {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()}.issuperset(url.query)
    ):
        raise BadValue(
            name="connection_string",
            value=uri.partition("?")[0],
            expected="a URI like postgresql://user@host:5432/database",
            hint="In a user or a password, characters such as @ : / ? # are percent-encoded. Options are those of libpq.",
        )
    # SQLAlchemy decodes user and password only. A host can be the folder of a socket.
    decoded: dict[str, Any] = {name: unquote(part) for name in ("host", "database") if (part := getattr(url, name))}
    return url.set(drivername="postgresql+psycopg", **decoded)
