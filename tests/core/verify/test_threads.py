"""The verdict on threads and their messages, without a database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from chatstore_cli.core.threads import repair
from chatstore_cli.core.verify.threads import thread_verdict
from chatstore_cli.domain.checks import CheckStatus
from chatstore_cli.domain.errors import Overdue
from chatstore_cli.domain.foreign import ForeignDocuments, OwnKind
from chatstore_cli.domain.threads.repair import HighestSequence, OrphanedMessages, StoredThread

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


@dataclass
class Threads:
    """A ThreadRepairs in memory: `last_sequence` of each thread; the sequences and ages of its messages."""

    stored: dict[str, int] = field(default_factory=dict)
    highest: dict[str, int] = field(default_factory=dict)
    minutes: int = 60
    is_slow: bool = False
    threads: str = "chat_threads"
    messages: str = "chat_thread_messages"

    def exist(self) -> bool:
        return bool(self.stored or self.highest)

    def require_comparable(self) -> None:
        pass

    def threads_after(self, thread_id: str | None, limit: int) -> Sequence[StoredThread]:
        return [StoredThread(*each) for each in sorted(self.stored.items()) if each[0] > (thread_id or "")][:limit]

    def highest_sequences(self, after: str | None, up_to: str | None) -> Iterable[HighestSequence]:
        if self.is_slow:
            raise Overdue(what="too slow")
        among = (each for each in self.highest.items() if (after or "") < each[0] <= (up_to or "~"))
        return [HighestSequence(*each) for each in among]

    def last_sequence(self, thread_id: str) -> int | None:
        return self.stored.get(thread_id)

    def orphaned_messages(self, thread_id: str, before: datetime) -> OrphanedMessages | None:
        number = self.highest[thread_id]
        return OrphanedMessages(number, number if NOW - timedelta(minutes=self.minutes) >= before else 0)

    def remove_orphaned_messages(self, thread_id: str, before: datetime) -> int:
        raise AssertionError

    def raise_last_sequence(self, thread_id: str, sequence: int) -> bool:
        raise AssertionError


@dataclass
class Contents:
    """The CollectionContents of a database without documents of another product, or with nothing else."""

    foreign: int = 0

    def names(self) -> list[str]:
        return ["chat_threads", "chat_thread_messages"]

    def own_names(self) -> list[str]:
        return self.names()

    def foreign_in(self, collection: str) -> ForeignDocuments | None:
        return ForeignDocuments(collection, OwnKind("a", "b", "c"), self.foreign, self.foreign)

    def require_writable(self, collections: Iterable[str]) -> None:
        raise AssertionError


@pytest.mark.parametrize(
    ("threads", "status", "detail"),
    [
        (Threads(), "skip", "chat_threads has no threads"),
        (Threads({"a": 2}, {"a": 2}), "pass", "1 thread compared"),
        (Threads({"a": 9, "b": 0}, {"a": 2}), "pass", "2 threads compared"),
        (Threads({"a": 1}, {"a": 2}), "warn", "1 thread compared; 1 thread whose last_sequence is behind the messages"),
        (
            Threads({"a": 1}, {"a": 1, "b": 1, "c": 2}, minutes=61),
            "warn",
            "3 threads compared; 3 messages of 2 threads that do not exist",
        ),
        (
            Threads({"a": 1}, {"a": 1, "b": 1}),
            "pass",
            "2 threads compared; 1 message of 1 thread that does not exist was left alone: the newest is less than 1 hour "
            "old, or has no date. A fork or an import may be running",
        ),
        (Threads({"a": 1}, is_slow=True), "pass", "the first 1 thread compared within 5 seconds"),
        (Threads(highest={"a": 1}, is_slow=True), "skip", "took longer than 5 seconds"),
    ],
)
def test_the_verdict_names_what_was_found(threads: Threads, status: str, detail: str) -> None:
    verdict = thread_verdict(threads, Contents(), NOW, 5, lambda: 0.0)
    assert verdict.status == status
    assert detail in verdict.detail
    assert ("chatstore threads repair" in str(verdict.hint)) is (
        status == "warn" or (threads.is_slow and status == "skip")
    )


def test_threads_of_another_product_are_not_compared() -> None:
    verdict = thread_verdict(Threads({"a": 1}, {"a": 5}), Contents(foreign=3), NOW, 5)
    assert verdict.status is CheckStatus.SKIP
    assert "chat_threads, chat_thread_messages not compared" in verdict.detail


def test_it_stops_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repair, "_THREADS_PER_PAGE", 10)
    seconds = iter(range(1_000))
    names = [f"t-{number:03}" for number in range(50)]
    threads = Threads(dict.fromkeys(names, 1), dict.fromkeys(names, 2))
    verdict = thread_verdict(threads, Contents(), NOW, 25, lambda: float(next(seconds)))
    assert verdict.status is CheckStatus.WARN
    assert verdict.detail.startswith(
        "the first 30 threads compared within 25 seconds (chatstore threads repair compares"
    )
    assert "22 threads whose" in verdict.detail
