"""The connection to MongoDB, and the translation of the driver's errors into those of domain/errors.py."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from urllib.parse import unquote

import pymongo
import pymongo.errors as driver
from bson.errors import BSONError, InvalidDocument
from pymongo import MongoClient, ReadPreference
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.monitoring import CommandListener, TopologyListener
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from chatstore_cli.config.uris import account_database, flaw_of_uri
from chatstore_cli.domain.errors import (
    BadValue,
    ChatstoreError,
    Conflict,
    DocumentRefused,
    MissingRight,
    NotAllowed,
    Overdue,
    UnknownHost,
    Unreachable,
)
from chatstore_cli.domain.secrets import hosts_of, masked, masked_uri
from chatstore_cli.mongo.collection_facts import KnownCollections
from chatstore_cli.mongo.error_codes import DUPLICATE_KEY, MISSING_RIGHT, RETRYABLE_CODES
from chatstore_cli.mongo.exact import ExactCollection

Document = dict[str, Any]
Result = TypeVar("Result")

_ACCESS_DENIED = {MISSING_RIGHT, 18, 8000, 33}
_AUTHENTICATION_FAILED = 18
_TOO_SLOW = {50, 262}
_CONFLICTS = {85, 86, DUPLICATE_KEY}
_REFUSED_DOCUMENTS = {15, 10334, 17419}
"""The server's codes for a document with too many levels, or over 16 MiB, also after an update."""
_NO_QUERY_PLAN = 291
_WITHOUT_PRIMARY = "Run the command again once the server has a primary."
_CHANGED_MEANWHILE = {43, 175, 215, 237}
"""The server's codes for a read that it ended, for example because the collection was renamed or dropped meanwhile."""

_UNKNOWN_HOST_TEXTS = (
    "Name or service not known",
    "No address associated with",
    "nodename nor servname",
    "getaddrinfo failed",
)
"""What the resolvers of several systems report for an unknown host. For resolvers that do not answer, they report other texts."""


SECONDS_OF_ONE_COMMAND = 5.0
"""The longest time for which the readers of a command trust that a collection does not exist: a watch runs for days."""


@dataclass(frozen=True)
class Connection:
    """One database on one server."""

    client: MongoClient[Document] = field(repr=False)  # the driver's text of a client has secret options of the URI
    database: Database[Document] = field(repr=False)
    target: str
    in_memory: bool = False
    known_collections: KnownCollections = field(default_factory=KnownCollections, compare=False, repr=False)
    """What was read about the collections. All connections that are made from this one share it."""
    own_collections: set[str] = field(default_factory=set, compare=False, repr=False)
    """The collections in which mongo/foreign_documents.py has found hardly any document of another product."""

    def collection(self, name: str) -> Collection[Document]:
        """A collection with the configured write concern. Its commands compare texts byte by byte (mongo/exact.py)."""
        if self.in_memory:
            return self.database[name]
        return ExactCollection(self.database, name, self.known_collections)

    def reach(self, seconds: float) -> None:
        """Raise Unreachable if the primary does not answer within that many seconds, or the usual time limit if less."""
        if not self.in_memory:
            limit = min(seconds, self.client.options.server_selection_timeout)
            with driver_errors("connecting"), time_limit(max(0.01, limit)):  # 0 would be no limit
                self.client.admin.command("ping")

    def reading_from_primary(self) -> Connection:
        """The same database, read from the primary, whatever the URI prefers: for reads that decide about writes."""
        if self.in_memory:
            return self
        return replace(self, database=self.database.with_options(read_preference=ReadPreference.PRIMARY))

    def for_one_command(self) -> Connection:
        """The same database for the readers of one command: a collection that does not exist is looked up only once."""
        known = self.known_collections.remembering_absent(SECONDS_OF_ONE_COMMAND)
        return replace(self, known_collections=known)

    def reading_majority(self) -> Connection:
        """The same database, reading from the primary what a majority of the servers has: no failover undoes that."""
        if self.in_memory:
            return self
        primary = self.reading_from_primary()
        return replace(primary, database=primary.database.with_options(read_concern=ReadConcern("majority")))


def connect(
    uri: str,
    database: str,
    *,
    timeout_seconds: float,
    write_concern: str = "majority",
    journaled: bool = True,
    answer_seconds: float | None = None,
    listener: CommandListener | None = None,
    waiting: TopologyListener | None = None,
    known_collections: KnownCollections | None = None,
) -> Connection:
    """A connection that the first operation opens. That operation raises Unreachable if it cannot.

    `timeout_seconds` is the time limit for finding and reaching the server, `answer_seconds` for each answer (None: no
    limit, for index builds). `listener` is called for every command, `waiting` when servers are found and lost.
    Connections to one database can share `known_collections`.
    `mongomock://` is a database in this process's memory.
    """
    if uri.startswith("mongomock://"):
        return _in_memory(database)
    if "\x00" in database or not database or any(sign in database for sign in '/\\. "$'):
        raise BadValue(name="mongo.database", value=database, expected="a database name")
    milliseconds = max(1, int(timeout_seconds * 1000))
    options_of_chatstore = {
        "appName": "chatstore",
        "serverSelectionTimeoutMS": milliseconds,
        "connectTimeoutMS": milliseconds,
        "socketTimeoutMS": None if answer_seconds is None else int(answer_seconds * 1000),
    }
    options = uri.partition("?")[2].lower()
    defaults: dict[str, Any] = {
        name: value for name, value in options_of_chatstore.items() if name.lower() + "=" not in options
    }
    concern: int | str = int(write_concern) if write_concern.isdigit() else write_concern
    try:
        client: MongoClient[Document] = MongoClient(
            uri,
            tz_aware=True,
            uuidRepresentation="unspecified",  # else a UUID of a wrong length fails the whole answer: see bytes_text
            unicode_decode_error_handler="replace",
            datetime_conversion="DATETIME_AUTO",
            event_listeners=[each for each in (listener, waiting) if each is not None],
            **defaults,  # the options of the URI take precedence
        )
    except (driver.InvalidURI, driver.ConfigurationError, ValueError, TypeError, OSError) as error:
        if uri.startswith("mongodb+srv://") and "DNS" in str(error):
            where = masked_uri(uri).partition("/?")[0]
            raise Unreachable(
                what=f"{where}: {_without_secrets(error, uri)}", hint="Check the host name in mongo.uri."
            ) from None
        expected = flaw_of_uri(uri) or f"a MongoDB URI ({_without_secrets(error, uri)})"
        # The driver's error is not the cause: a traceback would print it, and it may quote the password.
        shown = masked_uri(uri) if "//" in uri or not re.search("[:@]", uri) else "***"
        raise BadValue(name="mongo.uri", value=shown, expected=expected) from None
    if (account := account_database(uri)) is not None:
        _account_databases.add(account)
    acknowledged = WriteConcern(w=concern, j=journaled) if concern != 0 else WriteConcern(w=0)
    stored_in = client.get_database(database, write_concern=acknowledged)
    known = KnownCollections() if known_collections is None else known_collections
    return Connection(client, stored_in, describe(uri, database), known_collections=known)


_account_databases: set[str] = set()
"""The databases in which this process's connections look for their user because their URIs name no authSource."""

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
    return Connection(client, client[database], describe("mongomock://", database), in_memory=True)


def _without_secrets(error: Exception, uri: str) -> str:
    """The driver's reason, or a fixed text if the reason may contain a part of the password."""
    reason = masked(str(error)).strip().partition("\n")[0].rstrip(".")
    # Without an `@`, a host's "port" may be the password of a URI whose `@host` is missing.
    user_and_password = uri.partition("//")[2].rpartition("@")[0] or hosts_of(uri)
    if any(piece and piece in reason for piece in re.split(r"\W+", user_and_password.partition(":")[2])):
        return "user and password must be percent-encoded"
    return reason


time_limit = pymongo.timeout
"""Limits the time of all operations inside, including the search for a server."""


def describe(uri: str, database: str) -> str:
    """Server and database as text, without credentials or options."""
    if uri.startswith("mongomock://"):
        return f"memory (mongomock), database {database}"
    hosts = (masked(f"//{host}").removeprefix("//") for host in hosts_of(uri).split(","))  # a "port" may be a password
    return f"{unquote(','.join(hosts)) or '?'}, database {database}"


@contextmanager
def driver_errors(doing: str) -> Iterator[None]:
    """Translate the driver's errors. `doing` names the operation in the message, for example "counting chat_messages"."""
    try:
        yield
    except (driver.PyMongoError, BSONError, OverflowError) as error:
        raise translate(error, doing) from error


def within_limit(doing: str, operation: Callable[[], Result]) -> Result | None:
    """The result of an operation with a `maxTimeMS`; None if the server stopped it at that limit."""
    try:
        with driver_errors(doing):
            return operation()
    except Overdue as error:
        if isinstance(error.__cause__, driver.ExecutionTimeout):
            return None
        raise


def is_driver_error(error: Exception) -> bool:
    """Whether the driver raised the error, so that `translate` handles it."""
    return isinstance(error, driver.PyMongoError | BSONError)


def translate(error: Exception, doing: str) -> ChatstoreError:
    """The chatstore error for an error of the driver."""
    text, reason = str(error).lower(), masked(_first_line(error))
    code = getattr(error, "code", None)
    if isinstance(error, driver.OperationFailure):
        if code in _ACCESS_DENIED or ("auth" in text and "fail" in text):  # a login that failed
            kind = MissingRight if code == MISSING_RIGHT else NotAllowed
            return kind(what=f"{doing}: MongoDB denied access: {reason}", hint=_how_to_log_in(code))
        if code in _TOO_SLOW or isinstance(error, driver.ExecutionTimeout | driver.WTimeoutError):
            return Overdue(what=f"{doing}: the server took too long: {reason}", hint="Raise mongo.timeout_seconds.")
        if code in _CONFLICTS:
            return Conflict(what=f"{doing}: {reason}")
        if code in _REFUSED_DOCUMENTS:
            return DocumentRefused(where=doing, reason=reason)
        if code in RETRYABLE_CODES:
            again = "Run the command again." if code in _CHANGED_MEANWHILE else _WITHOUT_PRIMARY
            return Unreachable(what=f"{doing}: {reason}", hint=again)
        hint = None
        if code == _NO_QUERY_PLAN and "notablescan" in reason:
            hint = (
                "chatstore reads some collections without an index. Start the server without the parameter notablescan."
            )
        return ChatstoreError(what=f"{doing}: {reason}", hint=hint)
    if isinstance(error, driver.ConfigurationError) and "Sessions are not supported" in reason:
        # The driver reports this for a member of a replica set that has just been started.
        return Unreachable(what=f"{doing}: the server is still starting.", hint="Run the command again in a moment.")
    if isinstance(error, driver.NetworkTimeout):
        return Overdue(what=f"{doing}: no answer in time: {reason}", hint="Raise mongo.timeout_seconds.")
    if isinstance(error, driver.NotPrimaryError):
        return Unreachable(what=f"{doing}: {reason}", hint=_WITHOUT_PRIMARY)
    if isinstance(error, driver.ConnectionFailure):
        by_host = re.split(r",(?=[^ ,]+:\d+: )", reason)
        is_unknown = all(any(text in host_reason for text in _UNKNOWN_HOST_TEXTS) for host_reason in by_host)
        outage = UnknownHost if is_unknown else Unreachable
        return outage(what=f"{doing}: cannot reach MongoDB: {reason}", hint=_how_to_reach(reason))
    if isinstance(error, BSONError | driver.DocumentTooLarge | InvalidDocument | OverflowError):
        return DocumentRefused(where=doing, reason=reason)
    return ChatstoreError(what=f"{doing}: {reason}")


def _how_to_log_in(code: int | None) -> str:
    hint = "Check user, password and roles."
    if code != _AUTHENTICATION_FAILED or not _account_databases:
        return hint
    names = " or ".join(sorted(_account_databases))
    return (
        f"{hint} mongo.uri names no authSource, so MongoDB looks for the user in the database {names}. "
        "If the user was created in another one, add authSource, for example ?authSource=admin."
    )


def _how_to_reach(reason: str) -> str:
    """The hint. Only the embedded server, which has a socket of its own name, is managed by `chatstore db`."""
    from chatstore_cli.mongo.embedded.folders import SOCKET_NAME

    if f"/{SOCKET_NAME}:" in reason:
        return "Check whether the embedded MongoDB runs: chatstore db status."
    return "Check that the server runs and is reachable from this machine, and check mongo.uri (chatstore config show)."


def _first_line(error: Exception) -> str:
    details = getattr(error, "details", None)
    text = details.get("errmsg") if isinstance(details, dict) else None
    text = str(text or error).strip()
    # A query that cannot be planned is repeated as a tree of several lines, values included, before the reason.
    text = re.sub(
        r"(error processing query: ns=\S+?)( \w+=\d+)*Tree: .*\n ?(planner returned .*)",
        r"\1: \3",
        text,
        flags=re.DOTALL,
    )
    text = text.partition("\n")[0]
    # The server repeats the whole rejected command, with session and cluster time. Its name suffices.
    text = re.sub(r"(to execute command \{ \w+: [^,}]*),.*", r"\1 }", text)
    # The driver appends its time limits and its view of the servers, which do not belong into a message of one line.
    text = re.sub(r" ?\(configured timeouts:[^)]*\)", "", text)
    text = re.sub(r", full error: \{.*", "", text)
    text = re.sub(r"\[Errno -?\d+\] ", "", text)
    return re.sub(r",? ?(Timeout: [\d.]+s, )?Topology Description:.*", "", text)[:400]
