"""What a follower reports to a person and to the log: a lasting problem is not repeated in every round."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from chatstore_cli.core.lru import LruMap
from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.ignored_files import IgnoredFiles, IgnoreReason, ignored_notice
from chatstore_cli.domain.journal import FlushResult, Progress
from chatstore_cli.domain.quantities import quantity

LOG = logging.getLogger("chatstore.worker")

_SECONDS_BETWEEN_REPEATS = 60.0
_NOTICES_REMEMBERED = 1_000


class FollowNotices:
    """Notices of a follower, one line each, to `say` and to the log."""

    def __init__(self, say: Callable[[str], None], monotonic: Callable[[], float]) -> None:
        self._say = say
        self._monotonic = monotonic
        self._said_at: LruMap[str, float] = LruMap(_NOTICES_REMEMBERED)
        self._journal_errors: set[str] = set()
        self._ignore_reasons: set[IgnoreReason] = set()
        self._unreachable_since: float | None = None

    def report(self, text: str, level: int = logging.WARNING) -> None:
        """Report something that happens once."""
        LOG.log(level, "[CHAT WORKER] %s", text)
        self._say(f"[CHAT WORKER] {text}")

    def flush_notice(self, text: str) -> None:
        """Report a notice of a flush."""
        self._report_at_intervals(text, text, logging.INFO)

    def failed_round(self, error: ChatstoreError | OSError) -> None:
        """Report why a round failed."""
        self._report_at_intervals("round", f"{_as_text(error)} Retrying.")

    def silence(self, text: str) -> None:
        """Report once for each outage that an answer is awaited. The error that may follow is reported as well."""
        if self._unreachable_since is None:
            self._unreachable_since = self._monotonic()
            self.report(text)

    def outage(self, text: str) -> None:
        """Report that the database is unreachable."""
        if self._unreachable_since is None:
            self._unreachable_since = self._monotonic()
        self._report_at_intervals("outage", text)

    def database_answered(self) -> None:
        """Report the end of an outage, if there was one."""
        since, self._unreachable_since = self._unreachable_since, None
        if since is not None:
            self._said_at.pop("outage")
            self.report(f"The database is reachable again after {self._monotonic() - since:.0f} s.", logging.INFO)

    def journal_errors(self, errors: Mapping[str, ChatstoreError]) -> None:
        """Report the journals that cannot be read now, each error once until it is over."""
        current = {f"{name} {error.message}": error for name, error in errors.items()}
        for key, error in current.items():
            if key not in self._journal_errors:
                self.report(_as_text(error))
        self._journal_errors = set(current)

    def ignored_files(self, ignored: Sequence[IgnoredFiles]) -> None:
        """Report files that are not read, each reason once."""
        new = [group for group in ignored if group.reason not in self._ignore_reasons]
        if new:
            self._ignore_reasons |= {group.reason for group in new}
            self.report(ignored_notice(new))

    def progress(self, progress: Progress, journals: int) -> None:
        """Report how far a long round is."""
        backlog = "1 journal" if journals == 1 else f"{journals:,} journals"
        self.report(
            f"Flushing {backlog}: {quantity(progress.stored, 'message')} stored so far, now at byte {progress.offset:,} of "
            f"{progress.name}.",
            logging.INFO,
        )

    def flushed(self, result: FlushResult, seconds: float) -> None:
        """Report what one round stored and quarantined."""
        if result.stored:
            lines = result.lines - result.already_stored - result.already_quarantined
            self.report(
                f"Flushed {result.stored}/{lines} chat messages to Mongo ({seconds * 1000:.0f} ms).", logging.INFO
            )
        if result.quarantined:
            lines_were = "1 line was" if result.quarantined == 1 else f"{result.quarantined:,} lines were"
            self.report(f"{lines_were} quarantined: chatstore cache quarantine list")

    def _report_at_intervals(self, key: str, text: str, level: int = logging.WARNING) -> None:
        now = self._monotonic()
        said_at = self._said_at.get(key)
        if said_at is None or now - said_at >= _SECONDS_BETWEEN_REPEATS:
            self._said_at.put(key, now)
            self.report(text, level)


def _as_text(error: ChatstoreError | OSError) -> str:
    if isinstance(error, ChatstoreError):
        return error.as_text()
    return f"{error.filename or ''}: {error.strerror or error}.".removeprefix(": ")
