"""The thread of the fsync policy `interval`."""

from __future__ import annotations

import threading
from collections.abc import Callable

FSYNC_SECONDS = 1.0


class SyncThread:
    """A thread that syncs the written journals once a second. The first line starts it."""

    def __init__(self, sync: Callable[[], None]) -> None:
        self._sync = sync
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._failure: OSError | None = None

    def start_or_raise(self) -> None:
        """Start the thread. Raises the last failure once: lines that were acknowledged may not be on the disk."""
        if self._thread is None:
            with self._starting:
                if self._thread is None:
                    self._stopped.clear()
                    self._thread = threading.Thread(target=self._run, name="chatstore-fsync", daemon=True)
                    self._thread.start()
        if self._failure is not None:
            for failure in self.take_failure():
                raise failure

    def take_failure(self) -> list[OSError]:
        """The last failure, if it was not reported yet."""
        failure, self._failure = self._failure, None
        return [failure] if failure is not None else []

    def _run(self) -> None:
        while not self._stopped.wait(FSYNC_SECONDS):
            try:
                self._sync()
            except OSError as error:
                self._failure = error

    def stop(self) -> None:
        """Stop the thread and wait for it."""
        self._stopped.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
