"""The connection to PostgreSQL: a pool, time limits, transactions that are repeated if that is safe."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TypeVar

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from chatstore_cli.core.retry import RetryPolicy, attempt_until_done
from chatstore_cli.domain.errors import BadValue, Conflict, Unreachable
from chatstore_cli.postgres.errors import Repeat, database_errors
from chatstore_cli.postgres.json_text import from_json_text, to_json_text

Result = TypeVar("Result")

_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")


class PostgresDatabase:
    """One PostgreSQL database. It connects on first use."""

    def __init__(
        self, uri: str, *, pool_size: int = 5, max_overflow: int = 10, timeout_seconds: float = 10.0
    ) -> None:
        """`uri` is `postgresql://user:password@host:5432/database?sslmode=require` with the options of libpq.

        Connecting, each statement, and repeating a transaction take at most `timeout_seconds`. Raises BadValue.
        """
        self._url = _parsed(uri)
        self._pool_size, self._max_overflow = pool_size, max_overflow
        self._seconds = timeout_seconds

    @property
    def target(self) -> str:
        """Server and database as text, without the user and the password."""
        host = self._url.host or self._url.query.get("host") or "local socket"
        host = host if isinstance(host, str) else host[0]
        port = f":{self._url.port}" if self._url.port else ""
        return f"{host}{port}, database {self._url.database or self._url.username or 'postgres'}"

    @cached_property
    def engine(self) -> Engine:
        """The pool of connections."""
        milliseconds = max(1, int(self._seconds * 1000))
        options = f"-c timezone=UTC -c statement_timeout={milliseconds} -c lock_timeout={milliseconds}"
        given = self._url.query.get("options")
        return create_engine(
            self._url.difference_update_query(["options"]),
            pool_size=self._pool_size,
            max_overflow=self._max_overflow,
            pool_timeout=self._seconds,
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": max(2, round(self._seconds)),  # libpq takes 1 for 2
                "options": f"{given} {options}" if isinstance(given, str) else options,
                "application_name": "chatstore",
            },
            json_serializer=to_json_text,
            json_deserializer=from_json_text,
        )

    def change(self, doing: str, operation: Callable[[Connection], Result]) -> Result:
        """The result of an operation in one transaction.

        It is repeated after serialization failures, deadlocks and lost connections, so it must be one that may run twice:
        a lost connection does not tell whether the transaction was committed. Raises the errors of domain/errors.py.
        """

        def once() -> tuple[Result] | None:
            try:
                with database_errors(doing), self.engine.begin() as connection:
                    return (operation(connection),)
            except Repeat:
                return None

        def until_done() -> Result:
            [result] = attempt_until_done(once, lambda: Conflict(what=f"{doing}: other processes change the same rows."))
            return result

        return RetryPolicy(self._seconds, say=lambda _: None).call(until_done)

    @contextmanager
    def reading(self, doing: str) -> Iterator[Connection]:
        """A connection for reading, on which large results are streamed."""
        with database_errors(doing), self.engine.connect() as connection:
            yield connection.execution_options(stream_results=True, yield_per=1_000)

    def reach(self, seconds: float) -> None:
        """Raise Unreachable if the server does not answer. A connection attempt takes at most the time limit."""
        started = time.monotonic()
        with database_errors("connecting"), self.engine.connect():
            if time.monotonic() - started > seconds:
                raise Unreachable(what="Connecting took too long.")

    def close(self) -> None:
        """Close the pool. A later use connects again."""
        engine = self.__dict__.pop("engine", None)
        if engine is not None:
            engine.dispose()


def _parsed(uri: str) -> URL:
    try:
        url = make_url(uri)
    except (ArgumentError, ValueError):
        url = None
    if url is None or url.drivername not in _SCHEMES:
        raise BadValue(name="connection_string", value=uri, expected="a URI like postgresql://user@host:5432/database")
    return url.set(drivername="postgresql+psycopg")
