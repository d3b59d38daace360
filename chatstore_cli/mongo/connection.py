"""The connection to MongoDB, and the one place that turns the driver's errors into ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import pymongo
import pymongo.errors as driver
from bson.errors import BSONError, InvalidDocument
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.monitoring import CommandListener
from pymongo.write_concern import WriteConcern

from chatstore_cli.domain.errors import (
    BadValue,
    ChatstoreError,
    Conflict,
    DocumentRefused,
    NotAllowed,
    Overdue,
    UnknownHost,
    Unreachable,
)
from chatstore_cli.domain.secrets import masked

Document = dict[str, Any]

_UNAUTHORIZED = {13, 18, 8000, 33}
_TOO_SLOW = {50, 262}
_CONFLICTS = {85, 86, 11000}
RETRYABLE_CODES = {6, 7, 89, 91, 112, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436, 64, 100}
RETRYABLE_CODES |= {43, 94, 133, 134, 175, 237}  # a cursor or a plan that a restart took, a node that is starting
RETRYABLE_CODES |= {215}  # the database is being dropped just now
RETRYABLE_CODES |= {50736, 50737, 50738}  # a cursor and its continuation went over connections of before and after it


_NO_SUCH_NAME = (
    "Name or service not known",
    "No address associated with",
    "nodename nor servname",
    "getaddrinfo failed",
)
"""So the systems' resolvers say that there is no such host; that none of them answers, they say otherwise."""


@dataclass(frozen=True)
class Connection:
    """One database on one server."""

    client: MongoClient[Document]
    database: Database[Document]
    target: str
    in_memory: bool = False

    def collection(self, name: str) -> Collection[Document]:
        """A collection under the configured write concern."""
        return self.database[name]


def connect(
    uri: str,
    database: str,
    *,
    timeout_seconds: float,
    write_concern: str = "majority",
    journaled: bool = True,
    answer_seconds: float | None = None,
    listener: CommandListener | None = None,
) -> Connection:
    """A connection that is not yet made: the first operation makes it, and says so if it cannot.

    `timeout_seconds` bounds finding and reaching the server; `answer_seconds` bounds each single answer (None: as
    long as it takes, for index builds). `listener` hears of every command. `mongomock://` is a database in this process's
    memory.
    """
    if uri.startswith("mongomock://"):
        return _in_memory(database)
    if "\x00" in database or not database or any(sign in database for sign in '/\\. "$'):
        raise BadValue(name="mongo.database", value=database, expected="a database name")
    milliseconds = max(1, int(timeout_seconds * 1000))
    limits = {
        "serverSelectionTimeoutMS": milliseconds,
        "connectTimeoutMS": milliseconds,
        "socketTimeoutMS": None if answer_seconds is None else int(answer_seconds * 1000),
    }
    stated = uri.partition("?")[2].lower()
    unstated: dict[str, Any] = {name: limit for name, limit in limits.items() if name.lower() + "=" not in stated}
    concern: int | str = int(write_concern) if write_concern.isdigit() else write_concern
    try:
        client: MongoClient[Document] = MongoClient(
            uri,
            appname="chatstore",
            tz_aware=True,
            uuidRepresentation="standard",
            unicode_decode_error_handler="replace",
            datetime_conversion="DATETIME_AUTO",
            event_listeners=[] if listener is None else [listener],
            **unstated,  # what the URI states itself holds
        )
    except (driver.InvalidURI, driver.ConfigurationError, ValueError, TypeError, OSError) as error:
        if uri.startswith("mongodb+srv://") and "DNS" in str(error):
            where = masked(uri).partition("/?")[0]
            raise Unreachable(what=f"{where}: {_without_secrets(error, uri)}", hint="Check the name.") from error
        expected = f"a MongoDB URI ({_without_secrets(error, uri)})"
        raise BadValue(name="mongo.uri", value=masked(uri), expected=expected) from error
    acknowledged = WriteConcern(w=concern, j=journaled) if concern != 0 else WriteConcern(w=0)
    return Connection(client, client.get_database(database, write_concern=acknowledged), describe(uri, database))


_in_memory_clients: dict[str, Any] = {}


def _in_memory(database: str) -> Connection:
    try:
        import mongomock
    except ImportError as error:
        raise BadValue(
            name="mongo.uri",
            value="mongomock://",
            expected="usable without the package mongomock: pip install 'chatstore-cli[mongomock]'",
        ) from error
    client = _in_memory_clients.setdefault("", mongomock.MongoClient(tz_aware=True))
    return Connection(client, client[database], f"memory (mongomock), database {database}", in_memory=True)


def _without_secrets(error: Exception, uri: str) -> str:
    """The driver's reason; where it may quote a piece of the password, one of ours instead."""
    reason = masked(str(error)).strip().partition("\n")[0].rstrip(".")
    password = uri.partition("://")[2].rpartition("@")[0].partition(":")[2]
    if any(piece and piece in reason for piece in re.split(r"\W+", password)):
        return "user and password must be percent-encoded"
    return reason


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Bound all operations inside, finding the server included."""
    with pymongo.timeout(seconds):
        yield


def describe(uri: str, database: str) -> str:
    """Server and database in words, without credentials or options."""
    parts = urlsplit(uri)
    hosts = unquote(parts.netloc.rpartition("@")[2]) or "?"
    return f"{hosts}, database {database}"


@contextmanager
def driver_errors(doing: str) -> Iterator[None]:
    """Translate what the driver raises inside; `doing` says in the message what was being done."""
    try:
        yield
    except (driver.PyMongoError, BSONError, OverflowError) as error:
        raise translate(error, doing) from error


def is_driver_error(error: Exception) -> bool:
    """Whether the driver raised it, so that `translate` knows it."""
    return isinstance(error, driver.PyMongoError | BSONError)


def translate(error: Exception, doing: str) -> ChatstoreError:
    """The error of ours that stands for one of the driver's."""
    reason = masked(_first_line(error))
    code = getattr(error, "code", None)
    if isinstance(error, driver.OperationFailure):
        if code in _UNAUTHORIZED or _is_login_failure(error):
            return NotAllowed(what=f"{doing}: the database says no: {reason}", hint="Check user, password and roles.")
        if code in _TOO_SLOW or isinstance(error, driver.ExecutionTimeout | driver.WTimeoutError):
            return Overdue(what=f"{doing}: the server took too long: {reason}", hint="Raise mongo.timeout_seconds.")
        if code in _CONFLICTS:
            return Conflict(what=f"{doing}: {reason}")
        if code in RETRYABLE_CODES:
            return Unreachable(what=f"{doing}: {reason}", hint="Try again when the server has a primary.")
        return ChatstoreError(what=f"{doing}: {reason}")
    if isinstance(error, driver.ConfigurationError) and "Sessions are not supported" in reason:
        # So the driver says of a member of a replica set that has just been started.
        return Unreachable(what=f"{doing}: the server is still starting.", hint="Try again in a moment.")
    if isinstance(error, driver.NetworkTimeout):
        return Overdue(what=f"{doing}: no answer in time: {reason}", hint="Raise mongo.timeout_seconds.")
    if isinstance(error, driver.ConnectionFailure):
        by_host = re.split(r",(?=[^ ,]+:\d+: )", reason)
        is_unknown = all(any(said in each for said in _NO_SUCH_NAME) for each in by_host)
        kind = UnknownHost if is_unknown else Unreachable
        return kind(what=f"{doing}: cannot reach MongoDB: {reason}", hint=_how_to_reach(reason))
    if isinstance(error, BSONError | driver.DocumentTooLarge | InvalidDocument | OverflowError):
        return DocumentRefused(where=doing, reason=reason)
    return ChatstoreError(what=f"{doing}: {reason}")


def _how_to_reach(reason: str) -> str:
    """`chatstore db` looks after the embedded server alone, which is known by its socket."""
    from chatstore_cli.mongo.embedded.folders import SOCKET_NAME

    if f"/{SOCKET_NAME}:" in reason:
        return "See whether the embedded MongoDB runs: chatstore db status."
    return "Check that the server runs and can be reached from here, and mongo.uri (chatstore config show)."


def _is_login_failure(error: driver.OperationFailure) -> bool:
    return "auth" in str(error).lower() and "fail" in str(error).lower()


def _first_line(error: Exception) -> str:
    details = getattr(error, "details", None)
    text = details.get("errmsg") if isinstance(details, dict) else None
    text = str(text or error).strip().partition("\n")[0]
    # The server repeats the whole command that it refuses, with session and cluster time; its name is enough.
    text = re.sub(r"(to execute command \{ \w+: [^,}]*),.*", r"\1 }", text)
    # Which time limits the driver was given, and what it knows of the servers, helps nobody who reads one line.
    text = re.sub(r" ?\(configured timeouts:[^)]*\)", "", text)
    text = re.sub(r", full error: \{.*", "", text)
    return re.sub(r",? ?(Timeout: [\d.]+s, )?Topology Description:.*", "", text)[:400]
