"""Following journals: whatever is added to them is stored, for as long as it runs, over outages, rotations and crashes.

Each round looks which files may have changed and flushes those. Nothing is kept from round to round but a number for
each file and the ledger: a round begins with fresh eyes on the collection and on sessions that were deleted.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple, Protocol, cast

from chatstore_cli.core.flush.reading import Source
from chatstore_cli.core.flush.run import Flush, FlushOptions
from chatstore_cli.core.flush.storing import StoringRules
from chatstore_cli.core.flush.timed_store import WatchedStore
from chatstore_cli.core.retry import RetryPolicy
from chatstore_cli.domain.errors import ChatstoreError, NotAllowed, Unreachable, WrongUse
from chatstore_cli.domain.journal import FlushResult
from chatstore_cli.domain.message_store import MessageStore
from chatstore_cli.domain.times import Clock, utc_now

LOG = logging.getLogger("chatstore.worker")

SECONDS_OF_GRACE = 1.0
"""How long, once it is to stop, one question to the database may take to be answered."""

_SAID_AGAIN_AFTER = 60.0
_READ_AGAIN_AFTER = 60.0
_LONGEST_PAUSE = 10.0
_MOST_ROUNDS_OF_ONCE = 3
_LOOKING_IS_AT_MOST_A = 10.0
_TOLD_AT_MOST = 1_000
_OF_A_JOURNAL = "journal "


class Glance(NamedTuple):
    """How a journal looked: the same `state` means the same file, unless it was changed only just now (not `settled`)."""

    state: int
    settled: bool


class Look(NamedTuple):
    """The journals that are there, and what cannot be looked at, by name."""

    journals: dict[str, Glance]
    troubles: dict[str, ChatstoreError]


class FollowedJournals(Protocol):
    """The journals that are followed."""

    def look(self) -> Look:
        """What is there now."""
        ...

    def sources(self, names: Sequence[str]) -> list[Source]:
        """Journals of the last look, to be flushed."""
        ...

    def settle(self) -> None:
        """Put on disk what is remembered."""
        ...


@dataclass(frozen=True)
class FollowRules:
    """How to follow: `interval` seconds between rounds; with `once` only until everything is stored.

    `timeout` is how many seconds one outage of the database may last.
    """

    storing: StoringRules
    interval: float = 1.0
    timeout: float = math.inf
    once: bool = False


class _Failed(NamedTuple):
    state: int
    error: ChatstoreError
    again_at: float


class Follower:
    """Stores what is added to journals. Use it once.

    `say` is told, a line each, what went wrong and what was stored; `on_round` the result of each round that met new
    lines. Both are called from another thread.
    """

    def __init__(
        self,
        store: MessageStore,
        journals: FollowedJournals,
        rules: FollowRules,
        *,
        say: Callable[[str], None],
        on_round: Callable[[FlushResult], None] = lambda _: None,
        clock: Clock = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._watched = WatchedStore(store, monotonic, self._answered)
        self._store = cast(MessageStore, self._watched)
        self._journals = journals
        self._rules = rules
        self._say = say
        self._on_round = on_round
        self._clock = clock
        self._monotonic = monotonic
        self._stopping = threading.Event()
        self._retry_policy = RetryPolicy(rules.timeout, say=self._tell_of_outage, pause=self._stopping.wait)
        self._flush: Flush | None = None
        self._collection: str | None = None
        self._looked = self._made_anew = False
        self._seen: dict[str, int] = {}
        self._failed: dict[str, _Failed] = {}
        self._told: dict[str, float] = {}
        self._unfinished: dict[str, int] = {}  # last lines, by journal: the newest of each, not their sum over rounds
        self._away_since: float | None = None
        self._failure: BaseException | None = None
        self.total = FlushResult()

    # --- the calling thread ------------------------------------------------------------------------------------------

    def run(self, asked_to_stop: Callable[[], int]) -> bool:
        """Follow until somebody asks to stop, or with `once` until all is stored; whether it ended by itself.

        `asked_to_stop` is looked at ten times a second: how often somebody has asked. At the first time the batches in
        hand are stored, as long as the database answers; at the second they are left. What is not stored is in the
        journals. Raises what ended it: NotAllowed, Unreachable once `timeout` is over, with `once` any trouble.
        """
        began = self._monotonic()
        thread = threading.Thread(target=self._run, name="chatstore-follower", daemon=True)
        thread.start()
        while thread.is_alive() and not asked_to_stop():
            thread.join(0.1)
        asked = self._monotonic()
        flush = self._flush
        self._stopping.set()
        if flush is not None:
            flush.stop()
        while thread.is_alive() and asked_to_stop() < 2:
            thread.join(0.05)
            waiting_since = self._watched.waiting_since
            if waiting_since is not None and self._monotonic() - max(asked, waiting_since) > SECONDS_OF_GRACE:
                break
        if thread.is_alive():
            self._tell("Stopped without an answer of the database: what is not stored yet is in the journals.")
        unfinished = sum(self._unfinished.copy().values())  # the thread may still be at it
        self.total = replace(self.total, pending=unfinished, seconds=self._monotonic() - began)
        if self._failure is not None:
            raise self._failure
        return not asked_to_stop()

    # --- the thread that follows -------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._follow()
        except BaseException as error:  # noqa: BLE001 - carried to the calling thread, which raises it
            if not (self._stopping.is_set() and isinstance(error, Unreachable)):
                self._failure = error

    def _follow(self) -> None:
        rounds = failures = 0
        while not self._stopping.is_set():
            pause = self._rules.interval
            try:
                looking, found = self._round()
                pause = max(pause, looking * (_LOOKING_IS_AT_MOST_A - 1))
                failures = 0
                rounds += 1
                if self._rules.once and (not found or rounds >= _MOST_ROUNDS_OF_ONCE):
                    self._end_once()
                    return
            except (Unreachable, NotAllowed, WrongUse, BrokenPipeError):
                raise  # a pipe is where rounds are told: nobody reads them any more
            except (ChatstoreError, OSError) as error:
                if self._rules.once:
                    raise
                failures += 1
                pause = max(pause, min(_LONGEST_PAUSE, 0.1 * 2.0 ** min(failures, 10)))
                self._tell_once("round", f"{_in_words(error)} Trying again.")
            if not self._rules.once:
                self._stopping.wait(pause)

    def _round(self) -> tuple[float, bool]:
        """How many seconds looking took, and whether there was something to flush."""
        began = self._monotonic()
        look = self._journals.look()
        looking = self._monotonic() - began
        collection = self._retry_policy.call(self._store.collection_id)
        if collection != self._collection:  # dropped, or there for the first time: whatever was stored is not in it
            self._seen.clear()
            self._failed.clear()
            self._made_anew = self._looked
        self._collection, self._looked = collection, True
        self._seen = {name: state for name, state in self._seen.items() if name in look.journals}
        self._unfinished = {name: count for name, count in self._unfinished.items() if name in look.journals}
        self._look_at_failed(look)
        due = [name for name, glance in look.journals.items() if self._seen.get(name) != glance.state]
        if due and not self._stopping.is_set():
            self._flush_round(due, look)
        self._tell_troubles(look)
        return looking, bool(due)

    def _look_at_failed(self, look: Look) -> None:
        """Try again what could not be read, when it has changed, and each minute; until then it is a trouble."""
        for name, failed in list(self._failed.items()):
            glance = look.journals.get(name)
            if glance is None or glance.state != failed.state:
                del self._failed[name]
                continue
            look.troubles[name] = failed.error
            if self._monotonic() > failed.again_at:
                self._seen.pop(name, None)
            else:
                self._seen[name] = failed.state

    def _flush_round(self, due: list[str], look: Look) -> None:
        began = self._monotonic()
        options = FlushOptions(rules=self._rules.storing, waits_at_start=True, made_anew=self._made_anew)
        flush = Flush(self._store, options, clock=self._clock, say=self._tell_of_flush, retry_policy=self._retry_policy)
        self._flush = flush
        if self._stopping.is_set():  # before anybody could stop this one
            return
        try:
            result = flush.attempt(self._journals.sources(due))
        except BaseException:
            self.total = _sum(self.total, FlushResult(lines=flush.stored, stored=flush.stored))
            raise
        finally:
            self._flush = None
            self._journals.settle()
        self._unfinished |= {name: at.pending for name, at in flush.passes.items()}
        self._remember(due, look, flush)
        self.total = _sum(self.total, result, files=len(look.journals))
        self._tell_result(result, self._monotonic() - began)

    def _remember(self, due: list[str], look: Look, flush: Flush) -> None:
        if self._stopping.is_set():
            return
        if flush.collection != self._collection and len(due) < len(look.journals):
            self._seen.clear()  # it was made or dropped in between: the others are not in it
        self._made_anew = flush.collection != self._collection
        self._collection = flush.collection
        for name in due:
            glance = look.journals[name]
            self._failed.pop(name, None)
            if name in flush.unreadable:
                again_at = self._monotonic() + _READ_AGAIN_AFTER
                self._failed[name] = _Failed(glance.state, flush.unreadable[name], again_at)
            if glance.settled or self._rules.once:
                self._seen[name] = glance.state
            else:
                self._seen.pop(name, None)

    def _end_once(self) -> None:
        look = self._journals.look()
        self._look_at_failed(look)
        for error in look.troubles.values():
            error.hint = f"{error.hint or ''} Everything else is stored.".strip()
            raise error

    # --- talk --------------------------------------------------------------------------------------------------------

    def _tell(self, text: str, level: int = logging.WARNING) -> None:
        LOG.log(level, "[CHAT WORKER] %s", text)
        self._say(f"[CHAT WORKER] {text}")

    def _tell_once(
        self, key: str, text: str, level: int = logging.WARNING, again_after: float = _SAID_AGAIN_AFTER
    ) -> None:
        """Say it, unless it was said so short a while ago."""
        now = self._monotonic()
        said = self._told.get(key)
        if said is not None and now - said < again_after:
            return
        if len(self._told) >= _TOLD_AT_MOST:
            self._told.clear()
        self._told[key] = now
        self._tell(text, level)

    def _tell_troubles(self, look: Look) -> None:
        """Each once, until it is over."""
        keys = {f"{_OF_A_JOURNAL}{name} {error.message}": error for name, error in look.troubles.items()}
        over = [key for key in self._told if key.startswith(_OF_A_JOURNAL) and key not in keys]
        for key in over:
            del self._told[key]
        for key, error in keys.items():
            self._tell_once(key, _in_words(error), again_after=math.inf)

    def _tell_of_flush(self, text: str) -> None:
        self._tell_once(text, text, logging.INFO)

    def _tell_of_outage(self, text: str) -> None:
        if self._away_since is None:
            self._away_since = self._monotonic()
        self._tell_once("outage", text)

    def _answered(self) -> None:
        since, self._away_since = self._away_since, None
        if since is not None:
            self._told.pop("outage", None)
            self._tell(f"The database answers again, after {self._monotonic() - since:.0f} s.", logging.INFO)

    def _tell_result(self, result: FlushResult, seconds: float) -> None:
        if result.stored:
            waited = result.lines - result.already_stored - result.already_quarantined
            self._tell(
                f"Flushed {result.stored}/{waited} chat messages to Mongo ({seconds * 1000:.0f} ms).", logging.INFO
            )
        if result.quarantined:
            lines = "1 line is" if result.quarantined == 1 else f"{result.quarantined:,} lines are"
            self._tell(f"{lines} in quarantine: chatstore cache quarantine list")
        if result.lines:
            self._on_round(result)


def _sum(one: FlushResult, other: FlushResult, files: int | None = None) -> FlushResult:
    values = {field.name: getattr(one, field.name) + getattr(other, field.name) for field in fields(FlushResult)}
    return FlushResult(**values | {"files": one.files if files is None else files})


def _in_words(error: ChatstoreError | OSError) -> str:
    if isinstance(error, ChatstoreError):
        stop = "" if error.message.endswith((".", "!", "?")) else "."
        return f"{error.message}{stop}" + (f" {error.hint}" if error.hint else "")
    return f"{error.filename or ''}: {error.strerror or error}.".removeprefix(": ")
