"""Writing behind: a thread that stores what was recorded, in batches, for as long as it takes."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime

from chatstore_cli.core.recording.queue import Batch, PendingMessages
from chatstore_cli.core.retry import pause_after
from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.journal import Entry
from chatstore_cli.domain.recording import MessageStorage, RefusedMessages, RetryCallbacks, Stored, WorkerStats
from chatstore_cli.domain.times import Clock, format_instant, utc_now

LOG = logging.getLogger("chatstore.worker")

BATCH_BYTES = 4 * 1024 * 1024
_LONGEST_PAUSE_BEFORE_THE_END = 1.0
"""Seconds: somebody waits for the stop, and the database may come back any moment."""
_LATENCIES = 1_000


class _Run:
    """One life of the thread, from start to stop."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self.give_up_at: float | None = None
        self.thread: threading.Thread | None = None


class PersistenceWorker:
    """Stores the messages of a queue. ChatPersistenceWorker is this over a cache and a storage.

    A batch is kept until it is stored: an outage is waited out with growing, jittered pauses of up to ten
    seconds. What the database refuses for good is given to `refused`, and the rest goes on.
    """

    def __init__(
        self,
        pending: PendingMessages,
        open_storage: Callable[[RetryCallbacks], MessageStorage],
        refused: RefusedMessages,
        encode: Callable[[Entry], bytes],
        *,
        batch_size: int,
        interval: float,
        clock: Clock = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._pending = pending
        self._refused = refused
        self._encode = encode
        self._batch_size = batch_size
        self._interval = interval
        self._clock = clock
        self._monotonic = monotonic
        self._jitter = jitter
        self._begin_anew()
        self._latencies: deque[float] = deque(maxlen=_LATENCIES)
        self._flushed = self._skipped = self._quarantined = self._lost = 0
        self._last_error: str | None = None
        self._last_error_at: datetime | None = None
        self._last_persisted_at: datetime | None = None
        self._storage = open_storage(RetryCallbacks(self._remember_error, self._pause))

    def _begin_anew(self) -> None:
        self._woken = threading.Event()
        self._full = threading.Event()
        self._changing = threading.Lock()
        self._latest = self._running = _Run()  # the one to stop, and the one whose thread is at work

    def start(self) -> None:
        """Begin storing; a worker that runs already goes on. One that was stopped begins again."""
        with self._changing:
            before = self._latest.thread
            if before is not None and before.is_alive() and not self._latest.stopping.is_set():
                return
            run = self._latest = _Run()
            run.thread = threading.Thread(target=self._run, args=(run, before), name="chatstore-worker", daemon=True)
            run.thread.start()

    def start_over_after_fork(self) -> None:
        """In the child of a fork, where no thread is: start it there to store what the child records."""
        self._begin_anew()

    def notify_new_message(self) -> None:
        """There is something to store: it is, once a batch is full or `interval` seconds are over. Cheap, never waits."""
        if not self._woken.is_set():
            self._woken.set()
        if self._pending.depth >= self._batch_size and not self._full.is_set():
            self._full.set()

    def stop(self, timeout: float = 10.0) -> bool:
        """Store all that is pending, not only one batch, and end; whether all was stored within `timeout` seconds.

        What was not is still queued (`start` goes on with it), and in the journal where there is one.
        """
        with self._changing:
            run = self._latest
            run.give_up_at = self._monotonic() + timeout
            run.stopping.set()
            self._woken.set()
            self._full.set()
            if run.thread is not None and run.thread is not threading.current_thread():
                run.thread.join(timeout + 0.5)
                if run.thread.is_alive():  # the driver waits for a server that does not answer, and ends with that
                    LOG.warning(
                        "[CHAT WORKER] The database does not answer: %d messages are not stored yet.",
                        self._pending.depth,
                    )
        return self._pending.depth == 0

    def stats(self) -> WorkerStats:
        """What has been done so far."""
        latencies = sorted(self._latencies.copy())
        thread = self._latest.thread
        return WorkerStats(
            queue_depth=self._pending.depth,
            flushed=self._flushed,
            skipped=self._skipped,
            quarantined=self._quarantined,
            lost=self._lost,
            flush_latency_p50=_quantile(latencies, 0.5),
            flush_latency_p99=_quantile(latencies, 0.99),
            last_error=self._last_error,
            last_error_at=self._last_error_at,
            last_persisted_at=self._last_persisted_at,
            running=thread is not None and thread.is_alive(),
        )

    # --- the thread --------------------------------------------------------------------------------------------------

    def _run(self, run: _Run, before: threading.Thread | None) -> None:
        if before is not None:
            before.join()  # it was told to stop, and may still wait for the database
        self._running = run
        self._woken.set()
        since: float | None = None  # since when what waits may have been waiting
        while True:
            self._woken.wait()
            self._woken.clear()
            stopping = run.stopping.is_set()  # asked before all is stored: what comes after that is stored, too
            if not stopping and self._pending.depth < self._batch_size:
                waited = 0.0 if since is None else self._monotonic() - since
                self._full.wait(max(0.0, self._interval - waited))
            self._full.clear()
            since = self._drain()
            if stopping:
                return
            if since is not None:
                self._woken.set()

    def _drain(self) -> float | None:
        """Store what there is, but for a last batch that may still wait for others: then since when it does."""
        while True:
            looked = self._monotonic()
            if self._is_over():
                return None
            try:
                batch = self._pending.take(self._batch_size, BATCH_BYTES)
            except Exception as error:  # noqa: BLE001 - the thread must not end: nothing would be stored any more
                told = error.strerror if isinstance(error, OSError) else None
                self._remember_error(f"A journal cannot be read back: {told or error!r}. It is tried again.")
                if self._pause(1.0):
                    return None
                continue
            if batch is None or not self._settle(batch):
                return None
            waiting = self._pending.depth
            if not waiting or (
                waiting < self._batch_size
                and len(batch.entries) < self._batch_size
                and not self._running.stopping.is_set()
            ):
                return looked if waiting else None

    def _settle(self, batch: Batch) -> bool:
        """Store a batch, however often it has to be tried; False where there is no more time for it."""
        if batch.lost:
            self._lost += batch.lost
            what = "were left to journals that somebody cut or removed before they were stored"
            self._remember_error(f"{batch.lost:,} messages {what}.")
        began = self._monotonic()
        failures = 0
        stored: Stored | None = None
        while batch.entries:
            try:
                if stored is None:
                    stored = self._storage.store(batch.entries)
                self._keep(stored)
            except Exception as error:
                # Whatever it was: the batch is kept, and tried again.
                failures += 1
                delay = pause_after(failures, self._jitter)
                told = error.message if isinstance(error, ChatstoreError) else f"{type(error).__name__}: {error}."
                self._remember_error(f"{told} {len(batch.entries):,} messages are kept, and tried again.")
                if not isinstance(error, ChatstoreError):
                    LOG.debug("[CHAT WORKER] What went wrong:", exc_info=error)
                if self._pause(delay):
                    self._pending.give_back(batch)
                    return False
            else:
                self._count(stored, self._monotonic() - began)
                break
        self._pending.settle(batch)
        return True

    def _keep(self, stored: Stored) -> None:
        now = format_instant(self._clock())
        for entry, reason in stored.refused:
            raw = self._encode(entry)
            kept = self._refused.add(entry.source, entry.number, entry.offset, raw, reason, now, entry.identity)
            if kept:
                LOG.error("[CHAT WORKER] A message of session %r is in quarantine: %s", entry.session_id, reason)
        if stored.refused:
            self._refused.sync()

    def _count(self, stored: Stored, seconds: float) -> None:
        self._flushed += stored.stored
        self._skipped += stored.already_stored + stored.skipped
        self._quarantined += len(stored.refused)
        self._latencies.append(seconds * 1000)
        self._last_persisted_at = self._clock()
        LOG.info(
            "[CHAT WORKER] Flushed %d/%d chat messages to Mongo (%.0f ms).",
            stored.stored + stored.already_stored,
            stored.messages,
            seconds * 1000,
        )

    def _remember_error(self, text: str) -> None:
        self._last_error, self._last_error_at = text, self._clock()
        LOG.warning("[CHAT WORKER] %s", text)

    def _pause(self, seconds: float) -> bool:
        """Wait before trying again; True where a stop leaves no more time for it."""
        run = self._running
        if run.give_up_at is None:
            run.stopping.wait(seconds)
        elif (left := run.give_up_at - self._monotonic()) > 0:
            time.sleep(min(seconds, left, _LONGEST_PAUSE_BEFORE_THE_END))
        return self._is_over()

    def _is_over(self) -> bool:
        """Whether a stop has waited as long as it would."""
        give_up_at = self._running.give_up_at
        return give_up_at is not None and self._monotonic() >= give_up_at


def _quantile(ordered: list[float], share: float) -> float | None:
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 3) if ordered else None
