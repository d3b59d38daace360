"""Usage is counted once, at whatever instant the process that records it is killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.usage.explain import differing_counters, repair_counters
from chatstore_cli.core.usage.recorder import UsageRecorder, carry_over_counters
from chatstore_cli.domain.usage_ledger import OPENING_RUN
from chatstore_cli.mongo.usage.ledger import MongoUsageLedger
from tests.support.mongod import poll
from tests.support.paths import ROOT
from tests.support.usage_snapshots import modelled, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymongo.database import Database

    from chatstore_cli.mongo.connection import Connection

pytestmark = pytest.mark.real
ROUNDS = 20
REPORTS = [snapshot(number, 10 * number, agent=f"agent-{number % 3}", run=1 + number % 2) for number in range(60)]


class Killed(BaseException):
    """Stands for SIGKILL: nothing in between catches it."""


@pytest.fixture
def ledger(connection: Connection, database: Database[dict[str, Any]]) -> MongoUsageLedger:
    database["chat_sessions"].insert_one({"chat_id": "chat-1", "real_time_tracking": {"tokens": {"total_tokens": 5}}})
    return MongoUsageLedger(connection, Settings())


def total(database: Database[dict[str, Any]]) -> int:
    document = database["chat_sessions"].find_one({"chat_id": "chat-1"})
    assert document is not None
    counted: int = document["real_time_tracking"]["tokens"]["total_tokens"]
    return counted


@pytest.mark.parametrize("step", ["opening_balance", "insert", "sums", "raise_counters", "mark_applied"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("first", [False, True], ids=["later", "first"])
def test_a_report_counts_once_if_its_recording_is_killed_between_two_steps_and_repeated(
    ledger: MongoUsageLedger,
    database: Database[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    after: bool,
    first: bool,
) -> None:
    if not first:
        UsageRecorder(ledger).record([snapshot(1, 30)])
    original: Callable[..., Any] = getattr(ledger, step)

    def killed(*arguments: Any) -> None:
        if after:
            original(*arguments)
        raise Killed

    monkeypatch.setattr(ledger, step, killed)
    with pytest.raises(Killed):
        UsageRecorder(ledger).record([snapshot(2, 90)])
    monkeypatch.undo()

    for _ in range(2):
        UsageRecorder(ledger).record([snapshot(2, 90)])
        assert total(database) == 95
    assert list(differing_counters(ledger)) == []
    # The counters before the first report are a row too.
    assert database["usage_events"].count_documents({"applied": True}) == (2 if first else 3)
    assert database["usage_events"].count_documents({"applied": False}) == 0
    assert ledger.sums("chat-1").total_tokens == 95


@pytest.mark.parametrize("first", [False, True])
def test_counters_are_repaired_if_recording_is_killed_and_not_repeated(
    ledger: MongoUsageLedger, database: Database[dict[str, Any]], first: bool
) -> None:
    if not first:
        UsageRecorder(ledger).record([snapshot(1, 30)])
    ledger.insert({"left": snapshot(2, 90)})

    [finding] = differing_counters(ledger)
    assert repair_counters(ledger, finding)
    assert total(database) == 95
    UsageRecorder(ledger).record([snapshot(1, 30)])
    assert total(database) == 95
    assert list(differing_counters(ledger)) == []


def kill_writers(uri: str, database: Database[dict[str, Any]], rounds: int, seed: int) -> None:
    chance = random.Random(seed)
    script = [sys.executable, str(ROOT / "tests" / "support" / "usage_writer.py"), uri, database.name]
    for turn in range(rounds):
        first = (turn * len(REPORTS)) // rounds
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen([*script, str(first), "1000"], stdout=subprocess.PIPE, env=environment, cwd=ROOT)
        assert process.stdout is not None
        for _ in range(chance.randrange(1, 4)):
            process.stdout.readline()
        _until(time.monotonic() + chance.random() * 0.02)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=300)
        process.stdout.close()


def _until(instant: float) -> None:
    poll(lambda: time.monotonic() >= instant, every=0.0005)


@pytest.mark.parametrize("rounds", [ROUNDS, pytest.param(200, marks=pytest.mark.soak)])
def test_killed_at_random_instants_counters_equal_the_ledger(
    ledger: MongoUsageLedger, database: Database[dict[str, Any]], mongo_uri: str, rounds: int
) -> None:
    kill_writers(mongo_uri, database, rounds, seed=rounds)
    reports = list(REPORTS)
    random.Random(5).shuffle(reports)
    for report in reports:
        UsageRecorder(ledger).record([report])

    stored = [row.snapshot for row in ledger.rows("chat-1")]
    assert total(database) == modelled(stored)[None].total_tokens
    assert [one.total_tokens for one in stored if one.run == OPENING_RUN] == [5]
    assert list(differing_counters(ledger)) == []


def test_counters_that_an_application_raises_until_the_first_report_are_carried_over(
    ledger: MongoUsageLedger, database: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The application raises them between any two steps of the first report, and after a kill."""
    sessions = database["chat_sessions"]
    added = 0
    for step in ("insert", "sums", "raise_counters"):
        original: Callable[..., Any] = getattr(ledger, step)

        def raised(*arguments: Any, original: Callable[..., Any] = original) -> Any:
            nonlocal added
            added += 3
            sessions.update_one({}, {"$inc": {"real_time_tracking.tokens.total_tokens": 3}})
            return original(*arguments)

        monkeypatch.setattr(ledger, step, raised)
    monkeypatch.setattr(ledger, "mark_applied", lambda _: (_ for _ in ()).throw(Killed))
    monkeypatch.setattr(ledger, "raise_counters", lambda *_: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        UsageRecorder(ledger).record([snapshot(1, 30)])
    monkeypatch.undo()
    sessions.update_one({}, {"$inc": {"real_time_tracking.tokens.total_tokens": 50}})
    assert [finding.expected.total_tokens for finding in differing_counters(ledger)] == [5 + added + 50 + 30]

    UsageRecorder(ledger).record([snapshot(2, 40)])
    assert total(database) == ledger.sums("chat-1").total_tokens == 5 + added + 50 + 40
    assert list(differing_counters(ledger)) == []


def test_counters_that_are_raised_during_the_first_report_lose_nothing(
    ledger: MongoUsageLedger, database: Database[dict[str, Any]]
) -> None:
    sessions = database["chat_sessions"]
    stop = threading.Event()
    added = 0

    def add() -> None:
        nonlocal added
        own = {"real_time_tracking.in_ledger": {"$exists": False}}
        while not stop.is_set():
            added += sessions.update_one(own, {"$inc": {"real_time_tracking.tokens.total_tokens": 1}}).matched_count
            stop.wait(0.003)  # an application does something else as well

    application = threading.Thread(target=add)
    application.start()
    poll(lambda: added > 3)
    UsageRecorder(ledger).record([snapshot(1, 30)])
    stop.set()
    application.join()
    assert total(database) == ledger.sums("chat-1").total_tokens == 5 + added + 30


def test_counters_that_were_carried_over_are_not_counted_again_by_reconcile(
    ledger: MongoUsageLedger, database: Database[dict[str, Any]]
) -> None:
    carry_over_counters(ledger, "chat-1")  # and then killed
    assert list(differing_counters(ledger)) == []
    ledger.insert({"left": snapshot(2, 90)})
    [finding] = differing_counters(ledger)
    assert finding.expected.total_tokens == 95
    assert repair_counters(ledger, finding)
    assert total(database) == 95
