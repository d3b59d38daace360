"""The worker: a thread that stores recorded messages in batches, however long an outage takes."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime
from functools import cache

from chatstore_cli.core.recording.queue import Batch, PendingMessages
from chatstore_cli.core.retry import pause_after
from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.journal import Entry
from chatstore_cli.domain.recording import MessageStorage, RefusedMessages, RetryCallbacks, Stored, WorkerStats
from chatstore_cli.domain.times import Clock, format_instant, utc_now

LOG = logging.getLogger("chatstore.worker")

BATCH_BYTES = 4 * 1024 * 1024
_LONGEST_PAUSE_WHILE_STOPPING = 1.0
"""Seconds: the caller waits for the stop, and the database may become reachable at any moment."""
_LATENCIES = 1_000
_SECONDS_BETWEEN_FORGETTING = 60.0


class _Run:
    """One run of the thread, from start to stop."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self.give_up_at: float | None = None
        self.thread: threading.Thread | None = None


class PersistenceWorker:
    """Stores the messages of a queue. ChatPersistenceWorker is this over a cache and a storage.

    A batch is kept until it is stored. During an outage it is retried with growing, jittered pauses of up to ten
    seconds. A message that the database rejects is given to what `open_refused` returns; the others are stored.
    `forget_deleted` is called at most once a minute, after a batch; what it raises is ignored.
    """

    def __init__(
        self,
        pending: PendingMessages,
        open_storage: Callable[[RetryCallbacks], MessageStorage],
        open_refused: Callable[[], RefusedMessages],
        encode: Callable[[Entry], bytes],
        forget_deleted: Callable[[], None] = lambda: None,
        *,
        batch_size: int,
        interval: float,
        clock: Clock = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._pending = pending
        self._refused = cache(open_refused)
        self._encode = encode
        self._forget_deleted = forget_deleted
        self._forgot_at: float | None = None
        self._batch_size = batch_size
        self._interval = interval
        self._clock = clock
        self._monotonic = monotonic
        self._jitter = jitter
        self._reset_signals()
        self._latencies: deque[float] = deque(maxlen=_LATENCIES)
        self._flushed = self._skipped = self._quarantined = self._lost = 0
        self._last_error: str | None = None
        self._last_error_at: datetime | None = None
        self._last_persisted_at: datetime | None = None
        self._storage = open_storage(RetryCallbacks(self._remember_error, self._pause))

    def _reset_signals(self) -> None:
        self._has_messages = threading.Event()
        self._has_full_batch = threading.Event()
        self._starting_or_stopping = threading.Lock()
        self._latest = self._running = _Run()  # the run to stop, and the run whose thread is active

    def start(self) -> None:
        """Start storing. Does nothing if the worker runs already; a stopped worker starts again."""
        with self._starting_or_stopping:
            previous = self._latest.thread
            if previous is not None and previous.is_alive() and not self._latest.stopping.is_set():
                return
            run = self._latest = _Run()
            run.thread = threading.Thread(target=self._run, args=(run, previous), name="chatstore-worker", daemon=True)
            run.thread.start()

    def start_over_after_fork(self) -> None:
        """In the child of a fork, which has no worker thread: reset, so that `start` can start one."""
        self._reset_signals()

    def notify_new_message(self) -> None:
        """Note, without waiting, that a message is queued. It is stored when a batch is full or after `interval` seconds."""
        if not self._has_messages.is_set():
            self._has_messages.set()
        if self._pending.depth >= self._batch_size and not self._has_full_batch.is_set():
            self._has_full_batch.set()

    def stop(self, timeout: float = 10.0) -> bool:
        """Store everything that is pending, then stop. Returns whether all was stored within `timeout` seconds.

        What was not stored remains queued, so that `start` continues with it, and remains in the journal if there is one.
        """
        with self._starting_or_stopping:
            run = self._latest
            run.give_up_at = self._monotonic() + timeout
            run.stopping.set()
            self._has_messages.set()
            self._has_full_batch.set()
            if run.thread is not None and run.thread is not threading.current_thread():
                run.thread.join(timeout + 0.5)
                if run.thread.is_alive():  # it ends once the driver gives up waiting for the server
                    text = "[CHAT WORKER] The database does not answer. %d messages are not stored yet."
                    LOG.warning(text, self._pending.depth)
        return self._pending.depth == 0

    def stats(self) -> WorkerStats:
        """The counters so far."""
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

    def _run(self, run: _Run, previous: threading.Thread | None) -> None:
        if previous is not None:
            previous.join()  # it is stopping, and may still wait for the database
        self._running = run
        self._has_messages.set()
        waiting_since: float | None = None
        while True:
            self._has_messages.wait()
            self._has_messages.clear()
            stopping = run.stopping.is_set()  # before storing, so that a message queued meanwhile is stored as well
            if not stopping and self._pending.depth < self._batch_size:
                waited = 0.0 if waiting_since is None else self._monotonic() - waiting_since
                self._has_full_batch.wait(max(0.0, self._interval - waited))
            self._has_full_batch.clear()
            waiting_since = self._drain()
            if stopping:
                return
            if waiting_since is not None:
                self._has_messages.set()

    def _drain(self) -> float | None:
        """Store what is queued, except a last incomplete batch that may wait for more: returns since when it waits."""
        while True:
            queued_since = self._monotonic()
            if self._is_over():
                return None
            try:
                batch = self._pending.take(self._batch_size, BATCH_BYTES)
            except Exception as error:  # noqa: BLE001 - the thread must not end: nothing would be stored any more
                reason = error.strerror if isinstance(error, OSError) else None
                self._remember_error(f"Cannot read a journal back: {reason or repr(error)}. Retrying.")
                if self._pause(1.0):
                    return None
                continue
            if batch is None or not self._settle(batch):
                return None
            waiting = self._pending.depth
            if not waiting:
                return None
            if max(waiting, len(batch.entries)) < self._batch_size and not self._running.stopping.is_set():
                return queued_since

    def _settle(self, batch: Batch) -> bool:
        """Store a batch, however many attempts it takes; False if a stop leaves no more time."""
        if batch.lost:
            self._lost += batch.lost
            self._remember_error(
                f"{batch.lost:,} messages are lost: their journals were cut or removed before they were stored."
            )
        started = self._monotonic()
        failures = 0
        stored: Stored | None = None
        while batch.entries:
            try:
                if stored is None:
                    stored = self._storage.store(batch.entries)
                self._quarantine(stored)
            except Exception as error:  # whatever it was, the batch must not be lost
                failures += 1
                delay = pause_after(failures, self._jitter)
                reason = error.message if isinstance(error, ChatstoreError) else f"{type(error).__name__}: {error}"
                self._remember_error(
                    f"{reason.rstrip('.')}. {len(batch.entries):,} messages are kept and will be retried."
                )
                if not isinstance(error, ChatstoreError):
                    LOG.debug("[CHAT WORKER] The error:", exc_info=error)
                if self._pause(delay):
                    self._pending.give_back(batch)
                    return False
            else:
                self._count(stored, self._monotonic() - started)
                self._forget_if_due()
                break
        self._pending.settle(batch)
        return True

    def _forget_if_due(self) -> None:
        """Forget deleted messages of all sessions, after a batch, at most once a minute: most sessions have no new messages."""
        now = self._monotonic()
        is_due = self._forgot_at is None or now - self._forgot_at >= _SECONDS_BETWEEN_FORGETTING
        if not is_due or self._running.stopping.is_set():
            return
        self._forgot_at = now
        try:
            self._forget_deleted()
        except Exception as error:
            LOG.debug("[CHAT WORKER] Deleted sessions could not be looked up.", exc_info=error)

    def _quarantine(self, stored: Stored) -> None:
        if not stored.refused:
            return
        refused, now = self._refused(), format_instant(self._clock())
        for entry, reason in stored.refused:
            raw = self._encode(entry)
            if refused.add(entry.source, entry.number, entry.offset, raw, reason, now, entry.identity):
                LOG.error("[CHAT WORKER] Quarantined a message of session %r: %s", entry.session_id, reason)
        refused.sync()

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
        """Wait before the next attempt. Returns whether a stop leaves no time for another one."""
        run = self._running
        if run.give_up_at is None:
            run.stopping.wait(seconds)
        elif (remaining := run.give_up_at - self._monotonic()) > 0:
            time.sleep(min(seconds, remaining, _LONGEST_PAUSE_WHILE_STOPPING))
        return self._is_over()

    def _is_over(self) -> bool:
        """Whether the time limit of a stop has passed."""
        give_up_at = self._running.give_up_at
        return give_up_at is not None and self._monotonic() >= give_up_at


def _quantile(ordered: list[float], share: float) -> float | None:
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 3) if ordered else None
