"""The two collections of threads: their conditions, the checks before a write, and changes of both together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, TypeVar

import pymongo.errors as driver
from bson.codec_options import CodecOptions
from pymongo.client_session import ClientSession
from pymongo.collection import Collection

from chatstore_cli.core.retry import attempt_until_done
from chatstore_cli.domain.errors import ChatstoreError, Conflict, NotAllowed
from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.domain.threads.ports import Owner
from chatstore_cli.mongo.collections import acknowledged
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.error_codes import DUPLICATE_KEY, RETRYABLE_CODES
from chatstore_cli.mongo.foreign_documents import require_writable
from chatstore_cli.mongo.maintenance.index_store import MongoIndexStore
from chatstore_cli.mongo.threads.index_specs import index_specs, message_index_spec
from chatstore_cli.mongo.threads.own_threads import OWN_THREAD_MESSAGES, OWN_THREADS
from chatstore_cli.mongo.transactions import transaction

Result = TypeVar("Result")
Session = ClientSession | None
"""The session of a transaction; None on a server without transactions."""

_WRITE_CONFLICT = 112
_ATTEMPTS = 1_000
_LONGEST_PAUSE = 0.3
"""Seconds between two attempts. All attempts together take longer than a minute, because the server undoes the transaction
of a killed process after 60 s."""


class Missing(Exception):
    """The thread or message does not exist, or does not belong to the owner."""


class Repeat(Exception):
    """Another writer changed the same documents first, so the change has to start again."""


class ThreadDatabase:
    """The collections of threads and of their messages in one database, read from the primary."""

    def __init__(self, connection: Connection, patient: Connection, threads: str, messages: str) -> None:
        """`patient` is a connection without a time limit, for building indexes."""
        self.connection = connection = connection.reading_from_primary()
        self._write_concern = concern = acknowledged(connection.collection(threads).write_concern)
        self.threads: Collection[Document] = connection.collection(threads).with_options(write_concern=concern)
        self.messages: Collection[Document] = connection.collection(messages).with_options(write_concern=concern)
        options: CodecOptions[Any] = self.messages.codec_options
        # documents.py adds the zone to times much faster than the driver does.
        self.naive_options = options if connection.in_memory else options.with_options(tz_aware=False)
        self._indexes = MongoIndexStore(connection, patient)
        self._is_prepared = False

    @cached_property
    def has_transactions(self) -> bool:
        """Whether the server can change several documents in one transaction."""
        if self.connection.in_memory:
            return False
        hello = self.connection.client.admin.command("hello")
        return "setName" in hello or hello.get("msg") == "isdbgrid"

    def of_thread(self, thread_id: str, owner: Owner) -> Document:
        """The condition for the thread of that id if it belongs to the owner."""
        return {"_id": thread_id, **self.owned_by(owner)}

    def owned_by(self, owner: Owner) -> Document:
        """The condition for the threads of an owner."""
        fields = {"user_id": owner.user_id, "org_id": owner.org_id}
        return {**{field: value for field, value in fields.items() if value is not None}, **OWN_THREADS.filter()}

    def require_writable(self) -> None:
        """Raise unless documents can be stored in both collections, and the order of messages is protected by the index.

        A collection that does not exist yet is created with its indexes. Raises UnsuitableCollection, ForeignCollection
        and Conflict.
        """
        facts = require_writable(self.connection, self.threads.name, OWN_THREADS)
        require_writable(self.connection, self.messages.name, OWN_THREAD_MESSAGES)
        if self._is_prepared:
            return
        if not facts.exists:
            try:
                for spec in index_specs(self.threads.name, self.messages.name):
                    if spec.collection == self.threads.name:
                        self._indexes.create(spec, spec.name)
            except NotAllowed:
                pass  # lists are slower without them, and nothing else depends on them
        self._require_message_index(message_index_spec(self.messages.name))
        self._is_prepared = True

    def _require_message_index(self, spec: IndexSpec) -> None:
        for index in self._indexes.stored(spec.collection):
            is_whole = index.unique and not index.sparse and not index.partial_filter and index.collation is None
            if index.keys == spec.keys and is_whole:
                return
        try:
            self._indexes.create(spec, spec.name)
        except (Conflict, NotAllowed) as error:
            what = f"Without the index {spec.name} no message is stored in {spec.collection}. {error.as_text()}"
            raise type(error)(what=what, hint="To see what differs, run chatstore indexes check.") from error

    def change(
        self, doing: str, work: Callable[[Session], Result], *, between: Callable[[], object] | None = None
    ) -> Result:
        """The result of `work`, whose commands are one transaction if the server has transactions.

        `work` passes the session to each command. It is called again if it raises Repeat, or if another transaction changed
        the same documents. Any other exception of `work` undoes the transaction and is raised. If the server is lost before
        the commit, the change is retried once, as the driver retries a single command. `between` runs after each undone
        attempt.
        """
        lost = 0

        def attempt() -> tuple[Result] | None:
            nonlocal lost
            try:
                return (self._once(work),)
            except Repeat:
                return None
            except driver.BulkWriteError as error:
                raise _first_failure(error) from error
            except (driver.ConnectionFailure, driver.OperationFailure) as error:
                if not error.has_error_label("TransientTransactionError"):
                    raise
                if not _is_conflict(error):
                    lost += 1
                    if lost > 1 or isinstance(error, driver.NetworkTimeout | driver.ServerSelectionTimeoutError):
                        raise
                return None

        def failure() -> ChatstoreError:
            return Conflict(what=f"{doing}: other writers changed the same documents {_ATTEMPTS:,} times.")

        with driver_errors(doing):
            return attempt_until_done(
                attempt, failure, attempts=_ATTEMPTS, between=between, longest_pause=_LONGEST_PAUSE
            )[0]

    def _once(self, work: Callable[[Session], Result]) -> Result:
        if not self.has_transactions:
            return work(None)
        with transaction(self.connection.client, self._write_concern) as session:
            return work(session)


def _is_conflict(error: driver.PyMongoError) -> bool:
    """Whether a transaction was undone because of other transactions; otherwise the server cannot be used now."""
    code = error.code if isinstance(error, driver.OperationFailure) else None
    return code == _WRITE_CONFLICT or (code is not None and code not in RETRYABLE_CODES)


def _first_failure(error: driver.BulkWriteError) -> Exception:
    """The first error of an insertion of several documents, as the driver raises it for a single one."""
    details: Mapping[str, Any] = error.details or {}
    failures = [*details.get("writeErrors", ()), *details.get("writeConcernErrors", ())]
    if not failures:
        return error
    first = failures[0]
    kind = driver.DuplicateKeyError if first.get("code") == DUPLICATE_KEY else driver.OperationFailure
    return kind(str(first.get("errmsg", "")), first.get("code"), first)
