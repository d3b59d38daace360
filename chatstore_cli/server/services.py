"""What the routes work with: the settings, the stores, the cache with its worker, and threads for each kind of work."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from chatstore_cli.core.api_keys.keys import ApiKeys
from chatstore_cli.domain.api_keys import Access
from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.responding import ResponderWithConnections
from chatstore_cli.domain.times import utc_now
from chatstore_cli.library.cache import LocalChatCache
from chatstore_cli.library.storage import MongoChatStorage
from chatstore_cli.server.entrance.limits import OpenSockets
from chatstore_cli.server.entrance.open_sockets import OpenConnections
from chatstore_cli.server.live import LiveChanges
from chatstore_cli.server.preparation import Preparation
from chatstore_cli.server.threads import WorkThreads
from chatstore_cli.server.turns.deletion_lookup import DeletionLookup
from chatstore_cli.server.turns.dispatch import Dispatch
from chatstore_cli.server.turns.input_requests import InputRequests
from chatstore_cli.wiring.server import api_keys

if TYPE_CHECKING:
    from chatstore_cli.config.settings import Settings
    from chatstore_cli.core.audit.readings import ReadAudit
    from chatstore_cli.core.general.chats import GeneralChats
    from chatstore_cli.core.mixed_transcript.sources import Readers
    from chatstore_cli.core.session_registry.registry import SessionRegistry
    from chatstore_cli.core.usage.metrics import SessionMetrics
    from chatstore_cli.core.workflow.ag2_manager import AG2Manager
    from chatstore_cli.core.workflow.client_chats import ClientChats
    from chatstore_cli.domain.artifacts import ArtifactReader
    from chatstore_cli.domain.responding import Responder
    from chatstore_cli.library.worker import ChatPersistenceWorker
    from chatstore_cli.wiring.stores import Stores

_LOG = logging.getLogger("chatstore.server")

_RECORDING_THREADS = 4
_DRAWING_THREADS = 2
_STORE_SECONDS = 3.0
"""Seconds that a stopping server waits for the database. See `run.py` for the seconds of the other steps."""
_CLOSE_SECONDS = 0.5
_SECONDS_BETWEEN_KEY_CHECKS = 20.0


class Services:
    """Everything that the routes share. `start` and `stop` are called by the server's event loop."""

    def __init__(self, settings: Settings, responder: Responder) -> None:
        """Raises BadConfig if a function that the settings name cannot be imported."""
        self.settings = settings
        self.responder = responder
        self.dispatch = Dispatch.named(settings.chatstore.server.dispatch, settings.chatstore.server.dispatch_seconds)
        self.keys: ApiKeys = api_keys(settings)
        cache = settings.mongo.cache
        self.cache = LocalChatCache(
            cache.max_messages_per_session, cache.disk_path, cache.fsync, for_worker=settings.mongo.enabled
        )
        self.sockets = OpenSockets(settings.chatstore.server.sockets)
        self.connections = OpenConnections()
        self.input_requests = InputRequests()
        self._locks: WeakValueDictionary[tuple[str, ...], asyncio.Lock] = WeakValueDictionary()
        self.live = LiveChanges(settings)
        self.preparation: Preparation | None = None
        self._background: set[asyncio.Task[None]] = set()
        self.started_at: datetime = utc_now()
        self._started = time.monotonic()
        # Recording waits for the disk alone, so no database can make it wait.
        self.recording = WorkThreads("recording", _RECORDING_THREADS)
        # A view of long messages takes long enough to delay the sockets, and waits for nothing.
        self.drawing = WorkThreads("drawing", _DRAWING_THREADS)

    @property
    def uptime(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    @cached_property
    def storage(self) -> MongoChatStorage | None:
        """The storage of flat messages; None if the database is disabled. It connects on first use."""
        return MongoChatStorage.with_settings(self.settings) if self.settings.mongo.enabled else None

    @cached_property
    def deletion_lookup(self) -> DeletionLookup:
        """The look-up of deleted messages, before a responder gets those in memory."""
        return DeletionLookup(self.cache, self.storage, self.reading)

    @cached_property
    def stores(self) -> Stores:
        """The stores that the settings name. They connect on first use. Raises Unreachable if the database is disabled."""
        from chatstore_cli.wiring.stores import Stores

        return Stores(self.settings, say=_LOG.info, warn=_LOG.warning)

    @cached_property
    def platform(self) -> ClientChats:
        """The workflow sessions of the multi-agent platform. Used in the threads that wait for the database."""
        from chatstore_cli.wiring.client_chats import client_chats

        return client_chats(self.stores, _LOG.warning)

    @cached_property
    def general(self) -> GeneralChats:
        """The general chats of the platform. Used in the threads that wait for the database."""
        from chatstore_cli.wiring.general import general_chats

        return general_chats(self.stores, _LOG.warning)

    @cached_property
    def agents_manager(self) -> AG2Manager:
        """Stores the turns of workflow sessions. Used in the threads that wait for the database."""
        from chatstore_cli.wiring.client_chats import session_writer

        return session_writer(self.stores, _LOG.warning)

    @cached_property
    def registry(self) -> SessionRegistry:
        """The workflows of client sessions. Used in the threads that wait for the database."""
        from chatstore_cli.wiring.session_registry import session_registry

        return session_registry(self.stores)

    @cached_property
    def session_metrics(self) -> SessionMetrics:
        """The usage of turns. Used in the threads that wait for the database."""
        from chatstore_cli.wiring.usage import session_metrics

        return session_metrics(self.stores)

    @cached_property
    def artifacts(self) -> ArtifactReader:
        """The artifacts of the platform."""
        from chatstore_cli.wiring.artifacts import artifact_reader

        return artifact_reader(self.stores)

    @property
    def transcript_readers(self) -> Readers:
        """New readers of the sessions that a replay merges."""
        from chatstore_cli.wiring.mixed_transcript import transcript_readers

        return transcript_readers(self.stores)

    @cached_property
    def audit(self) -> ReadAudit:
        """The record of who read messages with a key. See server/entrance/auditing.py."""
        from chatstore_cli.wiring.audit import read_audit

        return read_audit(lambda: self.stores)

    def in_background(self, work: Coroutine[Any, Any, None]) -> None:
        """Run work that no request waits for. It is cancelled when the server stops."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def lock(self, *subject: str) -> asyncio.Lock:
        """A lock that makes this process do one thing at a time for a subject, such as starting or answering its sessions."""
        return self._locks.setdefault(subject, asyncio.Lock())

    @cached_property
    def reading(self) -> WorkThreads:
        """The threads that wait for the database, each for at most `read_seconds`."""
        server = self.settings.chatstore.server
        return WorkThreads("database", server.read_threads, server.read_seconds, self.stores.within)

    @property
    def worker(self) -> ChatPersistenceWorker | None:
        """The worker that stores what the cache records; None if the database is disabled, and until the worker starts."""
        return None if self.preparation is None else self.preparation.worker

    async def start(self) -> None:
        """Load the journals, and begin to prepare the database. An outage does not stop the start."""
        await self.recording.run(self.cache.load_journals)
        self.in_background(self._close_revoked())
        if self.storage is not None:
            self.preparation = Preparation(self.cache, self.storage)
            self.preparation.start()

    async def _close_revoked(self) -> None:
        """Close the sockets whose keys were revoked, until the server stops."""
        while True:
            await asyncio.sleep(_SECONDS_BETWEEN_KEY_CHECKS)
            await self.connections.close_revoked(self.still_grants)

    def still_grants(self, access: Access) -> bool:
        """Whether a caller would still be let in. False if the keys cannot be read."""
        try:
            return self.keys.still_grant(access)
        except ChatstoreError as error:
            _LOG.error("The keys cannot be read. %s", error.as_text())
            return False

    async def stop(self) -> None:
        """Store what is pending, within some seconds. What is not stored remains in the journals."""
        self.live.stop()
        for task in list(self._background):
            task.cancel()
        if self.preparation is not None:
            self.preparation.stop()
        worker = self.worker
        if worker is not None:
            await self.recording.run(lambda: worker.stop(_STORE_SECONDS))
        if self.preparation is not None:
            self.preparation.close()
        await self.recording.run(self.cache.close)
        if isinstance(self.responder, ResponderWithConnections):
            with suppress(Exception):  # a connection that cannot be closed ends with the process
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await self.responder.close()
        with suppress(ChatstoreError):  # a database that hangs is not waited for
            await self.recording.run(self._close_connections, seconds=_CLOSE_SECONDS)

    def _close_connections(self) -> None:
        for each in (self.__dict__.get("stores"), self.storage):
            if each is not None:
                each.close()
