"""Machines whose clocks are wrong: every deadline is computed with the server's clock."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from chatstore_cli import ChatPersistenceWorker, LocalChatCache, Message, MongoChatStorage
from chatstore_cli.config.settings import MongoSettings, Settings
from chatstore_cli.core.flush.storing import StoringRules
from chatstore_cli.core.verify.database import DatabaseChecks
from chatstore_cli.domain.times import Clock, utc_now
from chatstore_cli.mongo import server_clock
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.server_clock import ServerClock
from chatstore_cli.wiring.stores import Stores
from tests.conftest import Chatstore
from tests.support import faked_time
from tests.support.journals import COLLECTION, flush, instant, record, store_of, write_journal
from tests.support.mongod import Mongod
from tests.support.paths import ROOT

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]]

DAYS_60 = timedelta(days=60)
NEAR = timedelta(minutes=5)
"""The time that a test may take on a busy machine."""


@pytest.fixture(autouse=True)
def no_earlier_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_clock, "_warned_targets", {})


@dataclass
class LocalClock:
    """A clock of this machine that is `ahead` of the right time; a test may change that."""

    ahead: timedelta

    def __call__(self) -> datetime:
        return utc_now() + self.ahead


def server_now(connection: Connection, local: Clock) -> Clock:
    return ServerClock(connection, warn=lambda _: None, local=local).now


def kept_for(database: Documents) -> list[timedelta]:
    """For how long from now each stored message is kept."""
    return [row["expires_at"] - datetime.now(UTC) for row in database[COLLECTION].find()]


def assert_all_kept_for_30_days(database: Documents, messages: int) -> None:
    kept = kept_for(database)
    assert len(kept) == messages
    assert all(abs(each - timedelta(days=30)) < NEAR for each in kept), kept


# --- messages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [-DAYS_60, DAYS_60], ids=["behind", "ahead"])
def test_a_flush_on_a_machine_with_a_wrong_clock_keeps_messages_as_long_as_another(
    connection: Connection, database: Documents, tmp_path: Path, ahead: timedelta
) -> None:
    write_journal(tmp_path / "s.jsonl", [record(number) for number in range(5)])
    result = flush(connection, tmp_path, server_now=server_now(connection, LocalClock(ahead)))
    assert result.stored == 5
    assert_all_kept_for_30_days(database, 5)


def test_a_clock_that_jumps_between_two_batches_changes_nothing(
    connection: Connection, database: Documents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatstore_cli.core.flush.run._BATCH_MESSAGES", 1)
    local = LocalClock(timedelta())
    jumps = iter([-DAYS_60, DAYS_60, timedelta(), timedelta(hours=1)])

    class Jumping:
        def __init__(self) -> None:
            self._inner = store_of(connection, server_now=server_now(connection, local))

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def insert(self, entries: Any, expires_at: Any) -> Any:
            inserted = self._inner.insert(entries, expires_at)
            local.ahead = next(jumps, local.ahead)
            return inserted

    write_journal(tmp_path / "s.jsonl", [record(number) for number in range(8)])
    assert flush(connection, tmp_path, store=Jumping()).stored == 8
    assert_all_kept_for_30_days(database, 8)


def test_the_time_to_live_counts_from_the_attempt_that_stored_and_not_from_before_an_outage(
    connection: Connection, database: Documents, tmp_path: Path
) -> None:
    from chatstore_cli.domain.errors import Unreachable

    moments = iter([datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)])

    class Failing:
        def __init__(self) -> None:
            self._inner = store_of(connection, server_now=lambda: next(moments))
            self.failures = iter([True])

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def insert(self, entries: Any, expires_at: Any) -> Any:
            if next(self.failures, False):
                raise Unreachable(what="the server is down for a day")
            return self._inner.insert(entries, expires_at)

    write_journal(tmp_path / "s.jsonl", [record(0)])
    assert flush(connection, tmp_path, store=Failing()).stored == 1
    assert [row["expires_at"] for row in database[COLLECTION].find()] == [datetime(2026, 4, 1, tzinfo=UTC)]


def test_what_has_expired_is_decided_by_the_servers_clock_in_a_dry_run_too(
    connection: Connection, tmp_path: Path
) -> None:
    fresh, old = instant(0), instant(-40 * 86_400)
    write_journal(tmp_path / "s.jsonl", [record(0, created_at=fresh), record(1, created_at=old)])
    now = datetime.fromisoformat(fresh) + timedelta(hours=1)
    for dry_run in (True, False):
        rules = StoringRules(30, ttl_from_created=True, skip_expired=True, dry_run=dry_run)
        result = flush(connection, tmp_path, rules=rules, server_now=lambda: now)
        assert (result.stored, result.expired) == (1, 1)


@pytest.fixture
def behind(mongod: Mongod, database: Documents) -> Any:
    """A storage on a machine whose clock is 60 days behind."""
    with MongoChatStorage(mongod.uri, database.name) as storage:
        stores = storage._stores
        stores.server_now = ServerClock(stores.connection, warn=stores._warn, local=LocalClock(-DAYS_60)).now
        yield storage


def test_the_librarys_worker_and_insert_messages_use_the_servers_clock_and_warn_once(
    behind: MongoChatStorage, database: Documents, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    local = LocalClock(-DAYS_60)
    cache = LocalChatCache(disk_path=tmp_path, clock=local)
    with caplog.at_level(logging.WARNING, "chatstore.storage"):
        with ChatPersistenceWorker(cache, behind, clock=local):
            recorded = cache.record_chat_event("s1", "user", "from the worker")
        behind.insert_messages([Message("s2", "user", "inserted", created_at=local())])
    assert recorded.created_at is not None and abs(recorded.created_at - local()) < NEAR, "it is not a deadline"
    assert_all_kept_for_30_days(database, 2)
    [warning] = caplog.messages
    assert "60 days behind the server's" in warning


def test_after_a_clock_was_ahead_new_messages_have_the_right_times_in_every_reader(
    mongod: Mongod, database: Documents, tmp_path: Path, chatstore: Chatstore
) -> None:
    local = LocalClock(timedelta(days=400))
    cache = LocalChatCache(disk_path=tmp_path, clock=local)
    cache.record_chat_event("s1", "user", "from the future")
    local.ahead = timedelta()
    for number in range(3):
        cache.record_chat_event("s1", "user", f"now {number}")
    expected = ["now 0", "now 1", "now 2", "from the future"]
    assert [message.content for message in cache.messages("s1")] == expected
    with MongoChatStorage(mongod.uri, database.name) as storage:
        assert storage.flush_journals(tmp_path).stored == 4
        assert [message.content for message in storage.history("s1")] == expected
    environment = {"CHATSTORE_MONGO__CACHE__DISK_PATH": str(tmp_path)}
    history = json.loads(chatstore("history", "s1", "-o", "json", env=environment).out)
    assert [message["content"] for message in history["items"]] == expected
    assert history["not_persisted"] == 0
    resumed = chatstore("resume", "s1", "--as", "jsonl").out.splitlines()
    assert [json.loads(line)["content"] for line in resumed] == expected
    assert_all_kept_for_30_days(database, 4)


# --- plans and checks ------------------------------------------------------------------------------------------------


def test_indexes_that_would_delete_by_the_servers_clock_are_not_created_unasked(
    connection: Connection, mongod: Mongod, database: Documents
) -> None:
    expired_yesterday = datetime.now(UTC) - timedelta(days=1)
    database[COLLECTION].insert_one({**record(0), "expires_at": expired_yesterday})
    said: list[str] = []
    stores = Stores(Settings(mongo=MongoSettings(uri=mongod.uri, database=database.name)), say=said.append)
    stores.server_now = server_now(connection, LocalClock(-DAYS_60))
    stores.message_store.prepare(recreated=True)
    stores.create_missing_indexes("messages")
    assert "expires_at_idx" not in database[COLLECTION].index_information()
    assert any("MongoDB would delete 1 document at once" in line for line in said)
    stores.close()


class FakeDatabase:
    """A database whose server's clock is right."""

    target = "somewhere"

    def __init__(self) -> None:
        self.cutoffs: list[datetime] = []

    server_now = staticmethod(utc_now)

    @property
    def document_dates(self) -> FakeDatabase:
        return self

    index_store = document_dates

    def existing_collections(self) -> set[str]:
        return {COLLECTION}

    def index_specs(self) -> Any:
        from chatstore_cli.mongo.messages.layout import index_specs

        return {"messages": index_specs(COLLECTION)}

    def count_before(self, collection: str, field: str, cutoff: datetime, partial_filter: Any = None) -> int:
        self.cutoffs.append(cutoff)
        return 0


@pytest.mark.parametrize(
    "ahead, status, words",
    [
        (timedelta(seconds=1), "pass", "differs by 1.0 s"),
        (-DAYS_60, "warn", "60 days behind the server's"),
        (timedelta(minutes=6), "warn", "6 minutes ahead of the server's"),
    ],
)
def test_verify_compares_the_clocks(ahead: timedelta, status: str, words: str) -> None:
    fake: Any = FakeDatabase()
    moment = utc_now()
    fake.server_now = lambda: moment
    verdict = DatabaseChecks(fake, "s", 1.0, False, lambda: moment + ahead).clocks()
    assert verdict.status == status
    assert words in verdict.detail
    assert (verdict.hint is not None) == (status == "warn")


def test_verify_looks_for_expired_documents_by_the_servers_clock() -> None:
    fake: Any = FakeDatabase()
    assert DatabaseChecks(fake, "s", 1.0, False, LocalClock(-DAYS_60)).expired().status == "pass"
    [cutoff] = fake.cutoffs
    assert abs(cutoff - utc_now()) < 2 * NEAR


# --- the command -----------------------------------------------------------------------------------------------------


def _run(chatstore: Chatstore, program: list[str], arguments: list[str], **variables: str) -> tuple[int, str, str]:
    environment = {**chatstore.environment, **variables, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *program, *arguments], cwd=chatstore.folder, env=environment, capture_output=True, timeout=300
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.parametrize("days", [-60, 60])
def test_commands_decide_by_the_servers_clock_and_warn_once_per_process(
    chatstore: Chatstore, database: Documents, days: int
) -> None:
    now = datetime.now(UTC)
    recent, old = ((now - timedelta(days=age)).isoformat() for age in (1, 40))
    write_journal(chatstore.folder / "new.jsonl", [record(number) for number in range(5)])
    write_journal(chatstore.folder / "s.jsonl", [record(5, created_at=recent), record(6, created_at=old)])
    database[COLLECTION].insert_many(
        [{**record(0, session="s0"), "expires_at": now + timedelta(days=ahead)} for ahead in (-10, 10)]
    )
    commands = [
        ["indexes", "apply", "--dry-run"],
        ["ttl", "set", "--days", "30", "--dry-run"],
        ["ttl", "show"],
        ["verify", "--only", "clock,expired"],
        ["flush-cache", "s.jsonl", "--ttl-from", "created", "--skip-expired", "--dry-run"],
        ["flush-cache", "new.jsonl"],
        ["cache", "prune", "new.jsonl", "--older-than", "30d", "--dry-run"],
    ]
    program = [str(ROOT / "tests/support/wrong_clock.py"), str(days * 86_400)]
    words = [word for command in commands for word in (*command, "-o", "json", "++")]
    code, out, err = _run(chatstore, program, words)
    assert code == 0, err
    indexes, set_, show, verify, expiring, flushed, pruned = (
        json.loads(part) for part in out.split("----- next -----")[:-1]
    )
    assert "would delete 1 document at once" in str(indexes) and "would delete 1 document at once" in str(set_)
    assert [row["expired"] for row in show["items"]] == [1]
    assert [row["status"] for row in verify["items"]] == ["warn", "warn"]
    assert (expiring["stored"], expiring["skipped"]) == (1, 1)
    assert flushed["stored"] == 5
    assert [row["action"] for row in pruned["items"]] == ["keep"]
    assert err.count(f"60 days {'behind' if days < 0 else 'ahead of'} the server's") == 1
    database[COLLECTION].delete_many({"session_id": "s0"})
    assert_all_kept_for_30_days(database, 5)


def test_on_a_machine_whose_clock_is_ahead_a_day_in_the_servers_future_is_not_in_the_past(chatstore: Chatstore) -> None:
    write_journal(chatstore.folder / "s.jsonl", [record(0)])
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    program = [str(ROOT / "tests/support/wrong_clock.py"), str(DAYS_60.total_seconds())]
    _, out, err = _run(chatstore, program, ["cache", "prune", "s.jsonl", "--older-than", tomorrow, "--dry-run"])
    assert "a time in the past" in err and "s.jsonl" not in out


@pytest.fixture
def faked(chatstore: Chatstore) -> Callable[..., tuple[int, str, str]]:
    """The command on a machine whose clock is so many days ahead: `faked(-60, "flush-cache")`."""

    def run(days_ahead: int, *arguments: str) -> tuple[int, str, str]:
        variables = faked_time.faketime(days_ahead)
        if variables is None:
            pytest.skip("libfaketime is not installed")
        return _run(chatstore, [str(ROOT / "tests/support/faked_time.py")], list(arguments), **variables)

    return run


@pytest.mark.soak
@pytest.mark.parametrize("days", [-60, 60])
def test_with_another_system_clock_every_command_decides_by_the_servers(
    chatstore: Chatstore, database: Documents, faked: Callable[..., tuple[int, str, str]], days: int
) -> None:
    now = datetime.now(UTC)
    recent, old = (now - timedelta(days=1)).isoformat(), (now - timedelta(days=40)).isoformat()
    write_journal(chatstore.folder / "s.jsonl", [record(0, created_at=recent), record(1, created_at=old)])
    from_created = ("flush-cache", "s.jsonl", "--ttl-from", "created", "-o", "json")
    code, out, err = faked(days, *from_created, "--skip-expired", "--dry-run")
    assert (code, json.loads(out)["stored"]) == (0, 1), err
    code, out, err = faked(days, *from_created)
    assert code == 2 and "1 message has expired, counted from created_at" in err
    code, out, err = faked(days, *from_created, "--skip-expired", "--ignore-ledger")
    assert (code, json.loads(out)["stored"]) == (0, 1), err
    assert f"60 days {'behind' if days < 0 else 'ahead of'} the server's" in err
    [kept] = kept_for(database)
    assert abs(kept - timedelta(days=29)) < NEAR
    assert faked(days, "flush-cache", "s.jsonl", "--ignore-ledger")[0] == 0
    assert sorted(round(each / timedelta(days=1)) for each in kept_for(database)) == [29, 30]

    database[COLLECTION].update_many({"text": "message 0"}, {"$set": {"expires_at": now - timedelta(days=10)}})
    database[COLLECTION].update_many({"text": "message 1"}, {"$set": {"expires_at": now + timedelta(days=10)}})
    database[COLLECTION].drop_index("expires_at_idx")
    code, out, err = faked(days, "indexes", "apply", "--dry-run", "-o", "json")
    assert "MongoDB would delete 1 document at once" in out, err
    code, out, err = faked(days, "ttl", "set", "--days", "30", "--dry-run", "-o", "json")
    assert "MongoDB would delete 1 document at once" in out, err
    code, out, err = faked(days, "ttl", "show", "-o", "json")
    assert [row["expired"] for row in json.loads(out)["items"]] == [1], err
    code, out, err = faked(days, "verify", "--only", "clock,expired", "-o", "json")
    rows = {row["name"]: row for row in json.loads(out)["items"]}
    assert (code, rows["clock"]["status"], rows["expired"]["status"]) == (0, "warn", "warn"), err
    assert "1 in chat_messages expired" in rows["expired"]["detail"]


@pytest.mark.soak
def test_processes_with_different_clocks_store_into_one_collection(
    chatstore: Chatstore, database: Documents, faked: Callable[..., tuple[int, str, str]]
) -> None:
    for number, days in enumerate((-400, -60, 0, 60)):
        write_journal(chatstore.folder / f"j{number}" / "s.jsonl", [record(number)])
        assert faked(days, "flush-cache", f"j{number}")[0] == 0
    assert_all_kept_for_30_days(database, 4)


@pytest.mark.soak
@pytest.mark.parametrize("days", [-60, 60])
def test_a_journal_that_was_just_written_is_not_old_enough_by_any_clock(
    chatstore: Chatstore, faked: Callable[..., tuple[int, str, str]], days: int
) -> None:
    write_journal(chatstore.folder / "s.jsonl", [record(0)])  # its line is older than 30 days
    assert chatstore("flush-cache", "s.jsonl").code == 0
    code, out, err = faked(days, "cache", "prune", "s.jsonl", "--older-than", "30d", "--dry-run", "-o", "json")
    assert code == 0, err
    assert [row["action"] for row in json.loads(out)["items"]] == ["keep"]


@pytest.mark.soak
def test_a_process_with_the_right_clock_records_after_one_whose_clock_was_ahead(
    chatstore: Chatstore,
) -> None:
    if faked_time.faketime(0) is None:
        pytest.skip("libfaketime is not installed")
    program = (
        "import sys; from chatstore_cli import LocalChatCache; "
        "print(LocalChatCache(disk_path='j').record_chat_event('s1', 'user', sys.argv[1]).created_at.isoformat())"
    )
    recorded: dict[int, list[timedelta]] = {}
    for days in (400, 0, 400, 0, -60):
        variables = faked_time.faketime(days)
        assert variables is not None
        code, out, err = _run(chatstore, ["-c", program], [str(days)], **variables)
        assert code == 0, err
        recorded.setdefault(days, []).append(datetime.fromisoformat(out.strip()) - datetime.now(UTC))
    assert all(abs(each - timedelta(days=400)) < NEAR for each in recorded[400])
    assert all(abs(each) < NEAR for each in recorded[0])
    assert all(abs(each + DAYS_60) < NEAR for each in recorded[-60]), "the other lines are ahead of that clock"
    assert chatstore("flush-cache", "j").code == 0
    resumed = chatstore("resume", "s1", "--as", "jsonl").out.splitlines()
    assert [json.loads(line)["content"] for line in resumed] == ["-60", "0", "0", "400", "400"]
