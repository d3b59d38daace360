"""The store that measures how long its calls wait."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from chatstore_cli.core.flush.timed_store import TimedStore

NOW = datetime(2026, 3, 2, tzinfo=UTC)


def test_the_servers_time_is_no_answer_of_the_database_but_waiting_for_it_counts() -> None:
    """It is usually computed here: during an outage it must not look as if the database had answered."""
    answers: list[int] = []
    waiting: list[float | None] = []

    class Store:
        def server_now(self) -> datetime:
            waiting.append(timed.waiting_since)
            return NOW

        def survey(self, sessions: Any) -> dict[str, Any]:
            return {}

    store: Any = Store()
    timed = TimedStore(store, lambda: 7.0, lambda: answers.append(1))
    assert timed.server_now() == NOW
    assert (waiting, answers, timed.waiting_since) == ([7.0], [], None)
    timed.survey([])
    assert answers == [1]
