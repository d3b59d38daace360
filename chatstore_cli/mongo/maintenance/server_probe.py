"""The server checks of `chatstore verify`: version and kind, an acknowledged write, a round trip."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import pymongo.errors as driver
from pymongo.collection import Collection
from pymongo.write_concern import WriteConcern

from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.indexes.ports import ServerFacts
from chatstore_cli.mongo.connection import Connection, Document, driver_errors

SCRATCH_PREFIX = "chatstore_verify_"


class MongoServerProbe:
    """A ServerProbe. What it writes goes to a scratch collection with a random name."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def facts(self) -> ServerFacts:
        if self._connection.in_memory:
            return ServerFacts("5.0", "memory (mongomock)", writable=True)
        with driver_errors("connecting"):
            admin = self._connection.client.admin
            hello = admin.command("hello")
            version = str(admin.command("buildInfo")["version"])
            # The two commands above need no permission; this one does.
            self._connection.database.command("listCollections", nameOnly=True, authorizedCollections=True)
        if hello.get("msg") == "isdbgrid":
            return ServerFacts(version, "sharded cluster", writable=True)
        kind = f"replica set {hello['setName']}" if "setName" in hello else "standalone"
        return ServerFacts(version, kind, writable=bool(hello.get("isWritablePrimary")))

    def acknowledged_write(self, seconds: float) -> str:
        if self._connection.in_memory:
            return "memory only"
        concern = dict(self._connection.database.write_concern.document)
        described = (
            ", ".join(f"{name}: {str(value).lower()}" for name, value in concern.items()) or "the server's default"
        )
        if concern.get("w") != 0:
            concern["wtimeout"] = max(1, int(seconds * 1000))
        with self._scratch() as scratch, driver_errors(f"writing with {described}"):
            scratch.with_options(write_concern=WriteConcern(**concern)).insert_one({"written": "by chatstore verify"})
        return described

    def round_trip(self) -> None:
        written: Document = {
            "_id": secrets.token_hex(12),
            "text": "Grüße, 你好, \U0001f44b, a\u0000b, $set, a.b",
            "at": datetime(2026, 3, 2, 11, 41, 0, 195000, tzinfo=UTC),
            "nested": {"list": [1, 2.5, None, True, 2**53]},
        }
        with self._scratch() as scratch, driver_errors(f"writing to {scratch.name}"):
            scratch.insert_one(dict(written))
            read_document = scratch.find_one({"_id": written["_id"]})
            if read_document != written:
                raise ChatstoreError(
                    what=f"The document read from {scratch.name} is not the document that was written."
                )
            if scratch.delete_one({"_id": written["_id"]}).deleted_count != 1 or scratch.find_one({}) is not None:
                raise ChatstoreError(what=f"A document that was deleted from {scratch.name} still exists.")

    @contextmanager
    def _scratch(self) -> Iterator[Collection[Document]]:
        """A scratch collection, dropped in every case."""
        scratch = self._connection.collection(SCRATCH_PREFIX + secrets.token_hex(6))
        # Not with the configured write concern: if that is what fails, the drop must not wait for it as well.
        dropping = scratch if self._connection.in_memory else scratch.with_options(write_concern=WriteConcern(w=1))
        try:
            yield scratch
        except BaseException:
            with suppress(driver.PyMongoError):
                dropping.drop()
            raise
        with driver_errors(f"dropping the scratch collection {scratch.name}"):
            dropping.drop()
