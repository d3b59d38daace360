"""The storage of an application: the flat messages of one MongoDB collection."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from chatstore_cli.config.settings import MongoSettings, Settings, StateSettings
from chatstore_cli.domain.errors import ChatstoreError, NotFound
from chatstore_cli.domain.message import Message
from chatstore_cli.library.configured import configured_settings
from chatstore_cli.wiring.stores import Stores

if TYPE_CHECKING:
    from chatstore_cli.core.flush.storing import StoringRules
    from chatstore_cli.domain.history import StoredHistory, StoredMessage
    from chatstore_cli.domain.journal import FlushResult
    from chatstore_cli.domain.message_store import Content
    from chatstore_cli.domain.tombstones import Tombstone

_LARGEST_LIMIT = 2**31 - 1
STORAGE_LOG = logging.getLogger("chatstore.storage")


@dataclass(frozen=True, slots=True)
class InsertedMessages:
    """The result of insert_messages: messages = stored + already_stored + skipped + refused.

    `skipped` were deleted with their session; `refused` has each rejected message with the reason.
    """

    messages: int
    stored: int
    already_stored: int
    skipped: int
    refused: tuple[tuple[Message, str], ...]


@dataclass(frozen=True, slots=True)
class StorageHealth:
    """Whether MongoDB answers and accepts writes. `status` is ok or error; `latency_ms` is the time of one round trip."""

    status: str
    latency_ms: float | None
    target: str
    detail: str | None = None


class MongoChatStorage:
    """Stores and reads the flat messages of one collection. It connects on first use."""

    def __init__(
        self,
        uri: str,
        database: str,
        collection: str = "chat_messages",
        ttl_days: int = 30,
        *,
        timeout_seconds: float = 5.0,
        write_concern: str = "majority",
        journaled: bool = True,
        state_folder: str | None = None,
    ) -> None:
        """MongoDB keeps a message for `ttl_days` days after it was stored; 0 keeps it forever. Time-outs are in seconds.

        `uri` can be `embedded`: a MongoDB that chatstore starts itself, from the extra of that name.
        """
        mongo = MongoSettings(
            uri=uri,
            database=database,
            chat_collection=collection,
            ttl_days=ttl_days,
            timeout_seconds=timeout_seconds,
            write_concern=write_concern,
            journaled=journaled,
        )
        self._use(Settings(mongo=mongo, state=StateSettings(state_folder)))

    @classmethod
    def from_config(cls, config_file: str | None = None) -> MongoChatStorage:
        """The storage that chatstore's configuration describes (mongo). Raises BadConfig."""
        return cls.with_settings(configured_settings(config_file, _warn))

    @classmethod
    def with_settings(cls, settings: Settings) -> MongoChatStorage:
        """The storage that these settings describe."""
        storage = cls.__new__(cls)
        storage._use(settings)
        return storage

    def _use(self, settings: Settings) -> None:
        self.settings = settings
        self._stores = Stores(settings, say=_say, warn=_warn)
        self._opening = threading.Lock()

    @cached_property
    def stores(self) -> Stores:
        """The ports behind it, created once."""
        with self._opening:
            _ = self._stores.message_store  # created under the lock, because two threads may ask for it at once
        return self._stores

    @property
    def rules(self) -> StoringRules:
        """The rules by which messages are stored."""
        from chatstore_cli.core.flush.storing import StoringRules

        return StoringRules(ttl_days=self.settings.mongo.ttl_days)

    def ensure_indexes(self) -> list[str]:
        """Create the indexes that are missing; returns a sentence for each one created, and for each that needs a decision.

        No index is created or changed that would make MongoDB delete documents at once. `chatstore indexes apply` and
        `chatstore ttl set` do that, after they show how many documents it would delete. Raises Unreachable, NotAllowed.
        """
        prepared = self.stores.message_store.prepare()
        for line in prepared:
            _say(line)
        return prepared + self.stores.create_missing_indexes("messages")

    def insert_messages(self, messages: Iterable[Message], timeout: float = 10.0) -> InsertedMessages:
        """Store messages, each exactly once. A message that is already stored, by this call, the worker or flush-cache,
        changes nothing. An outage is retried for `timeout` seconds.

        The `_id` is computed from session and `message_id`; without a `message_id` from session, role, instant, text and
        the number among equal messages of this call. Raises BadValue before anything is stored, and Unreachable.
        """
        from chatstore_cli.core.recording.storing import NewMessages, entries_of
        from chatstore_cli.domain.recording import RetryCallbacks

        messages = list(messages)
        entries = entries_of(messages)
        message_of = {id(entry): message for entry, message in zip(entries, messages, strict=True)}

        def pause(seconds: float) -> bool:
            time.sleep(seconds)
            return False

        retries = RetryCallbacks(lambda text: STORAGE_LOG.warning("[CHAT STORAGE] %s", text), pause)
        self._reach_within(timeout)
        storing = NewMessages(self.stores.message_store, self.rules, retries, seconds=timeout)
        stored = [storing.store(entries[first : first + 500]) for first in range(0, len(entries), 500)]
        return InsertedMessages(
            messages=len(entries),
            stored=sum(part.stored for part in stored),
            already_stored=sum(part.already_stored for part in stored),
            skipped=sum(part.skipped for part in stored),
            refused=tuple((message_of[id(entry)], reason) for part in stored for entry, reason in part.refused),
        )

    def history(self, session_id: str, limit: int = 50) -> list[Message]:
        """The newest `limit` stored messages of a session, oldest first; empty if the session does not exist.

        Raises BadValue, Unreachable, NotAllowed.
        """
        from chatstore_cli.domain.history import check_limit
        from chatstore_cli.domain.queries import MessageSelection

        check_limit(limit, _LARGEST_LIMIT)
        [reader] = self.stores.session_readers("messages")
        try:
            return list(reader.messages(session_id, MessageSelection(last=limit)))
        except NotFound:
            return []

    # chat_history reads stored messages through these three.

    def tombstone(self, session_id: str) -> Tombstone | None:
        """The tombstone of the session if it was deleted on purpose: what it covers, journals must not restore."""
        return self._stored_history.tombstone(session_id)

    def tombstones(self, session_ids: Collection[str]) -> Mapping[str, Tombstone]:
        """The tombstones of those of the sessions that were deleted on purpose, in one look-up."""
        return self._stored_history.tombstones(session_ids)

    def newest_stored(self, session_id: str, limit: int, since: datetime | None) -> Sequence[StoredMessage]:
        """The newest stored messages, oldest first: at most `limit`, or back to `since`, and those as old as the oldest."""
        return self._stored_history.newest_stored(session_id, limit, since)

    def stored_contents(self, identities: Sequence[str]) -> Mapping[str, Content]:
        """Role, time and text of each of the ids that is stored."""
        return self._stored_history.stored_contents(identities)

    @property
    def _stored_history(self) -> StoredHistory:
        from chatstore_cli.wiring.history import stored_history

        return stored_history(self.stores)

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """Limit the time of all operations inside: `with storage.within(2): ...` raises Unreachable after two seconds.

        Without it, a call waits `timeout_seconds` for a server that is not found, and up to 30 seconds for an answer.
        """
        return self.stores.within(seconds)

    def health(self, timeout: float = 2.0) -> StorageHealth:
        """Whether MongoDB answers and accepts writes, within `timeout` seconds. An unreachable server raises nothing."""
        started = time.perf_counter()
        try:
            with self.within(timeout):
                facts = self.stores.server_probe.facts()
        except ChatstoreError as error:
            return StorageHealth("error", None, self._target(), error.message)
        latency = round((time.perf_counter() - started) * 1000, 3)
        if not facts.writable:
            return StorageHealth("error", latency, self._target(), f"{facts.kind}: this member is not the primary")
        return StorageHealth("ok", latency, self._target())

    def _target(self) -> str:
        try:
            return self._stores.target
        except ChatstoreError:
            return f"database {self.settings.mongo.database}"

    def flush_journals(self, disk_path: str | Path, timeout: float = 60.0) -> FlushResult:
        """Store the messages of a folder of journals as `chatstore flush-cache` does, for example after a crash.

        Raises Locked if a worker or another flush uses the folder, and Unreachable after `timeout` seconds of outage.
        """
        from chatstore_cli.core.flush.options import FlushOptions
        from chatstore_cli.core.flush.run import Flush
        from chatstore_cli.domain.ignored_files import ignored_notice
        from chatstore_cli.wiring.journals import named_journals

        folder = Path(disk_path).expanduser().resolve()
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ChatstoreError(what=f"{folder}: {error.strerror or error}") from error
        self._reach_within(timeout)
        options = FlushOptions(rules=self.rules, timeout=timeout)
        journals = named_journals(self.settings, [str(folder)])
        if journals.ignored:
            STORAGE_LOG.warning("[CHAT STORAGE] %s", ignored_notice(journals.ignored))
        with journals.to_flush("flush_journals") as sources:
            return Flush(self.stores.message_store, options, say=_say).run(sources)

    def _reach_within(self, seconds: float) -> None:
        """Raise Unreachable if the server cannot be reached within these seconds, if a single attempt may take longer."""
        if 0 < seconds < self.settings.mongo.timeout_seconds:
            self.stores.message_store.reach(seconds)

    def __enter__(self) -> MongoChatStorage:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._stores.close()


def _say(text: str) -> None:
    STORAGE_LOG.info("[CHAT STORAGE] %s", text)


def _warn(text: str) -> None:
    STORAGE_LOG.warning("[CHAT STORAGE] %s", text)
