"""What the server does as soon as the database answers, in a thread of its own. Requests are answered meanwhile."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable

from chatstore_cli.core.retry import RetryPolicy
from chatstore_cli.domain.errors import ChatstoreError, Locked, Unreachable
from chatstore_cli.library.cache import LocalChatCache
from chatstore_cli.library.storage import MongoChatStorage
from chatstore_cli.library.worker import ChatPersistenceWorker
from chatstore_cli.wiring.recording import announce_worker

_LOG = logging.getLogger("chatstore.server")

_LAYOUTS = ("workflow", "general", "agents")
"""The layouts that the server writes, beside the flat messages."""
_SECONDS_BETWEEN_LOCKS = 5.0
_SECONDS_OF_OUTAGE = 10.0
"""Seconds that one attempt to store the journals waits for the database. Attempts are repeated until the server stops."""


class Preparation:
    """Starts the worker, creates missing indexes, and stores what earlier processes left in the journals.

    An outage delays each of these steps and cancels none of them.
    """

    def __init__(self, cache: LocalChatCache, storage: MongoChatStorage) -> None:
        self._cache, self._storage = cache, storage
        self._stopping = threading.Event()
        self._failure: str | None = None
        self.worker: ChatPersistenceWorker | None = None
        """The worker, once it has started."""
        self.is_complete = False
        self._end_announcement: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Begin. The thread is a daemon: a database that hangs does not hold up the end of the process."""
        threading.Thread(target=self._run, name="chatstore-preparation", daemon=True).start()

    def stop(self) -> None:
        """Begin no further step."""
        self._stopping.set()

    def close(self) -> None:
        """Remove the announcement of the worker, after it has stopped."""
        self._end_announcement()

    def _run(self) -> None:
        steps = (self._start_worker, self._create_indexes, self._store_journals)
        succeeded = [self._attempt(step) for step in steps]  # each one, whatever became of the others
        self.is_complete = all(succeeded)
        if self.is_complete and not self._stopping.is_set():
            _LOG.info("The database is ready: its indexes exist, and the messages of earlier processes are stored.")

    def _attempt(self, step: Callable[[], None]) -> bool:
        policy = RetryPolicy(math.inf, say=self._say_once, pause=self._stopping.wait, reach=self._reach)
        try:
            policy.call(step)
        except Exception as error:  # noqa: BLE001 - the other steps are worth trying, and a thread has nobody to raise it to
            if self._stopping.is_set():
                return False
            if isinstance(error, ChatstoreError):
                _LOG.error("%s", error.as_text())
            else:
                _LOG.exception("An unexpected error.")
            return False
        self._failure = None
        return True

    def _reach(self, seconds: float) -> None:
        self._storage.stores.message_store.reach(seconds)

    def _say_once(self, failure: str) -> None:
        """Report an outage once, not at each attempt."""
        if self._failure is None:
            _LOG.warning("The server records in its journals until the database answers. %s", failure)
        self._failure = failure

    def _start_worker(self) -> None:
        worker = ChatPersistenceWorker(self._cache, self._storage)
        worker.start()
        self.worker = worker
        self._end_announcement = announce_worker(
            self._cache.disk_path, self._storage.settings.state.folder, "chatstore serve"
        )

    def _create_indexes(self) -> None:
        """Create the indexes that are missing. None of them makes MongoDB delete documents at once."""
        for create in (self._storage.ensure_indexes, *(self._creation(layout) for layout in _LAYOUTS)):
            try:
                create()
            except Unreachable:
                raise
            except ChatstoreError as error:  # a collection of another product, or a right that is missing
                if self._stopping.is_set():  # the connections are closed
                    return
                _LOG.warning("Indexes are missing. %s", error.as_text())

    def _creation(self, layout: str) -> Callable[[], list[str]]:
        return lambda: self._storage.stores.create_missing_indexes(layout)

    def _store_journals(self) -> None:
        """Store what earlier processes left. What this process records is stored by its worker."""
        folder = self._cache.disk_path
        is_reported = False
        while folder is not None:
            try:
                result = self._storage.flush_journals(folder, _SECONDS_OF_OUTAGE)
            except Locked as error:  # another server stores its own, which may not include this one's
                if not is_reported:
                    _LOG.info("Messages of earlier processes are stored later: %s", error.message)
                is_reported = True
                if self._stopping.wait(_SECONDS_BETWEEN_LOCKS):
                    return
            else:
                if result.stored or result.quarantined:
                    text = "Stored %d messages that earlier processes left in the journals. %d lines are quarantined."
                    _LOG.info(text, result.stored, result.quarantined)
                return
