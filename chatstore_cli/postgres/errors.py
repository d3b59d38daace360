"""The translation of the errors of SQLAlchemy and psycopg into those of domain/errors.py: the only one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy import exc

from chatstore_cli.domain.errors import (
    ChatstoreError,
    DocumentRefused,
    NotAllowed,
    Overdue,
    Unreachable,
)
from chatstore_cli.domain.secrets import masked

MIGRATE = "Run chatstore threads migrate."

_REPEAT = {"40001", "40P01", "23505"}
"""SQLSTATE of a serialization failure, of a deadlock and of an id that is stored already: the transaction is repeated."""
_WRONG_ACCOUNT = {"28P01", "28000"}
_NOT_PERMITTED = "42501"
_READ_ONLY = "25006"
_UNKNOWN_DATABASE = "3D000"
_NO_SCHEMA = {"42P01", "42703", "3F000"}
_TIMEOUTS = {"57014", "25P03"}
_LOCKED = "55P03"
# A connection that the server refuses has no SQLSTATE. The words are those of an English server.
_REJECTED = re.compile(r'authentication failed|role ".*" does not exist|no pg_hba\.conf entry|no password supplied')
_NO_DATABASE = re.compile(r'database ".*" does not exist')
_UNREACHABLE_CLASSES = ("08", "57P", "53")
"""SQLSTATE of broken connections, of a server that stops or starts, and of one without free connections, memory or disk."""
_DISK_FULL = "53100"


class Lost(Unreachable):
    """{what}"""


class Repeat(Exception):
    """The transaction was rolled back, and a repetition may succeed."""


@contextmanager
def database_errors(doing: str) -> Iterator[None]:
    """Translate the errors of what is done inside. `doing` names it: "adding messages to thread 'x'"."""
    try:
        yield
    except exc.DBAPIError as error:
        raise translated(doing, error) from error
    except exc.TimeoutError as error:
        what = f"{_sentence(doing)} failed: every connection of the pool is in use."
        raise Overdue(what=what, hint="Raise DB_POOL_SIZE or DB_MAX_OVERFLOW, or use fewer threads.") from error


def translated(doing: str, error: exc.DBAPIError) -> ChatstoreError | Repeat:
    """The error of chatstore for one of the database."""
    cause = error.orig
    state = getattr(cause, "sqlstate", None) or ""
    reason = _reason(cause)
    failed = f"{_sentence(doing)} failed"
    if state in _REPEAT:
        return Repeat(failed)
    if state in _WRONG_ACCOUNT or _REJECTED.search(reason):
        return NotAllowed(
            what=f"{failed}: PostgreSQL rejects the user or the password.",
            hint="Check the user, the password, and what pg_hba.conf allows.",
        )
    if state == _NOT_PERMITTED or "permission denied" in reason:
        return NotAllowed(what=f"{failed}: {reason}.", hint="Grant the user this right (docs/operations.md).")
    if state == _READ_ONLY:
        return NotAllowed(what=f"{failed}: the server or the session is read-only.", hint="Use the primary server.")
    if state in _NO_SCHEMA:
        return Unreachable(
            what=f"{failed}: the tables of threads do not exist or are of another version.", hint=MIGRATE
        )
    if state == _UNKNOWN_DATABASE or _NO_DATABASE.search(reason):
        return Unreachable(what=f"{failed}: {reason}.", hint="Create the database, or correct its name.")
    if state in _TIMEOUTS:
        return Overdue(what=f"{failed}: PostgreSQL did not answer within the time limit.")
    if state == _LOCKED:
        return Overdue(what=f"{failed}: another process has locked the same rows for longer than the time limit.")
    if state == _DISK_FULL:
        return ChatstoreError(what=f"{failed}: the disk of the server is full.", hint="Free space, then try again.")
    if (
        isinstance(cause, psycopg.OperationalError)
        or error.connection_invalidated
        or state.startswith(_UNREACHABLE_CLASSES)
    ):
        hint = "Check that PostgreSQL runs, and its address in chatstore.threads.uri or DB_HOST."
        return Lost(what=f"{failed}: {reason}.", hint=hint)
    return DocumentRefused(where=doing, reason=reason)


def _reason(cause: BaseException | None) -> str:
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return masked(lines[0].rstrip(".") if lines else type(cause).__name__)


def _sentence(doing: str) -> str:
    return doing[:1].upper() + doing[1:]
