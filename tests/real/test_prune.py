"""`chatstore cache prune`: only journals that are proven to be stored are removed."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import gzip
import json
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from pymongo.database import Database

from chatstore_cli.core.flush.pruning import PruneRules, carry_out, describe_plan, describe_result, plan_pruning
from chatstore_cli.domain.cache_status import PruneDecision
from chatstore_cli.files.journal_writer import JournalWriter
from chatstore_cli.files.prunable_journals import PrunableJournals
from chatstore_cli.files.session_names import journal_path
from chatstore_cli.mongo.connection import Connection
from tests.conftest import Chatstore
from tests.support.journals import COLLECTION, as_line, as_lines, flush, forget, record, store_of, stored, write_journal
from tests.support.worker_processes import running_worker

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]]
KEYS = ["journal", "session_id", "lines", "covered", "dropped", "expired", "bytes", "newest", "action", "reason"]
NOW = datetime.now(UTC).replace(microsecond=123_456)  # a whole second or millisecond would have fewer digits


def of(days: float, number: int = 0, session: str = "s1", **fields: Any) -> dict[str, Any]:
    """A message that many days ago."""
    moment = NOW - timedelta(days=days) + timedelta(seconds=number)
    return record(number, session=session, created_at=moment.isoformat(timespec="microseconds"), **fields)


def age(path: Path, days: float) -> Path:
    """Set its times, as if nothing had been written to it for that long."""
    moment = (NOW - timedelta(days=days)).timestamp()
    os.utime(path, (moment, moment))
    return path


def old_journal(path: Path, *records: dict[str, Any], days: float = 40) -> Path:
    return age(write_journal(path, records), days)


@pytest.fixture
def folder(chatstore: Chatstore) -> Path:
    """The default folder of journals."""
    folder = chatstore.folder / "data" / "cache" / "chat_sessions"
    folder.mkdir(parents=True)
    return folder


def prune(chatstore: Chatstore, *arguments: str | Path, code: int = 0) -> dict[str, dict[str, Any]]:
    outcome = chatstore("cache", "prune", "--older-than", "30d", *arguments, "-o", "json")
    assert outcome.code == code, outcome.err
    items = json.loads(outcome.out)["items"]
    assert all(list(item) == KEYS for item in items)
    return {Path(item["journal"]).name: item for item in items}


# --- the plan --------------------------------------------------------------------------------------------------------


def test_each_journal_is_told_what_becomes_of_it_and_why(chatstore: Chatstore, database: Documents, folder: Path):
    old_journal(folder / "stored.jsonl", of(40), of(39, 1))
    old_journal(folder / "stored.jsonl.1", of(50))
    old_journal(folder / "empty.jsonl")
    (folder / "packed.jsonl.2.gz").write_bytes(gzip.compress(as_lines([of(60)])))
    age(folder / "packed.jsonl.2.gz", 60)
    old_journal(folder / "bad.jsonl", of(40, session="bad"), {"bad": True})
    (folder / "torn.jsonl").write_bytes(as_line(of(40, session="torn")) + as_line(of(40, 1))[:-5])
    age(folder / "torn.jsonl", 40)
    write_journal(folder / "written.jsonl", [of(40, session="written")])
    old_journal(folder / "young.jsonl", of(3, session="young"), of(40, session="young"))
    assert chatstore("flush-cache").code == 7
    old_journal(folder / "missing.jsonl", of(40, session="missing"), of(41, session="missing"))
    old_journal(folder / "worse.jsonl", {"worse": True})
    (folder / "link.jsonl").symlink_to(old_journal(folder.parent / "outside.jsonl", of(40)))
    (folder / "nowhere.jsonl").symlink_to("gone")
    os.mkfifo(folder / "pipe.jsonl")
    (folder / "cut.jsonl.gz").write_bytes(gzip.compress(as_lines([of(60)]))[:-9])
    age(folder / "cut.jsonl.gz", 60)
    before = sorted(file.name for file in folder.iterdir())

    told = prune(chatstore, "--dry-run")
    assert {name: item["reason"] for name, item in told.items() if item["action"] == "prune"} == {
        "stored.jsonl": "every line is stored",
        "stored.jsonl.1": "every line is stored",
        "packed.jsonl.2.gz": "every line is stored",
        "empty.jsonl": "it is empty",
    }
    kept = {name: item["reason"] for name, item in told.items() if item["action"] == "keep"}
    assert kept.pop("written.jsonl").startswith("last written at 20")
    assert kept.pop("young.jsonl").startswith("its newest line is of 20")
    assert "cut off" in kept.pop("cut.jsonl.gz")
    assert kept == {
        "bad.jsonl": "1 line is in quarantine",
        "worse.jsonl": "1 line cannot be stored",
        "torn.jsonl": "its last line is incomplete",
        "missing.jsonl": "2 lines are not stored",
        "link.jsonl": "a symbolic link",
        "nowhere.jsonl": "a symbolic link",
        "pipe.jsonl": "not a regular file",
    }
    assert (told["stored.jsonl"]["lines"], told["stored.jsonl"]["session_id"]) == (2, "stored")
    assert told["stored.jsonl"]["newest"] == of(39, 1)["created_at"].replace("+00:00", "Z")
    assert (told["written.jsonl"]["lines"], told["written.jsonl"]["newest"]) == (None, None)
    assert sorted(file.name for file in folder.iterdir()) == before

    outcome = chatstore("cache", "prune", "--older-than", "30d", "-o", "json")
    assert (outcome.code, outcome.out) == (2, "")
    error = json.loads(outcome.err.splitlines()[-1])["error"]
    assert error["kind"] == "needs_confirmation"
    assert error["message"].startswith("4 of 14 journals, ")
    assert str(folder / "stored.jsonl.1") in error["message"]
    assert sorted(file.name for file in folder.iterdir()) == before

    told = prune(chatstore, "--yes")
    assert {item["action"] for item in told.values()} == {"pruned", "keep"}
    gone = {name for name, item in told.items() if item["action"] == "pruned"}
    assert gone == {"stored.jsonl", "stored.jsonl.1", "packed.jsonl.2.gz", "empty.jsonl"}
    assert sorted(file.name for file in folder.iterdir()) == [name for name in before if name not in gone]
    assert (folder.parent / "outside.jsonl").exists()
    assert chatstore("flush-cache", folder / "missing.jsonl").code == 0
    assert "missing.jsonl" in {name for name, item in prune(chatstore, "--yes").items() if item["action"] == "pruned"}


def test_a_table_and_wrong_use(chatstore: Chatstore, database: Documents, folder: Path, tmp_path: Path):
    outcome = chatstore("cache", "prune", "--older-than", "30d")
    assert (outcome.code, outcome.out) == (0, "")
    assert "No journals were found." in outcome.err
    old_journal(folder / "s1.jsonl", of(40))
    assert chatstore("flush-cache").code == 0
    outcome = chatstore("cache", "prune", "--older-than", "30d", "--dry-run", "--read-only")
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[0].split() == [
        "ACTION", "JOURNAL", "LINES", "BYTES", "NEWEST", "(UTC)", "REASON",
    ]  # fmt: skip
    assert "(dry run: nothing is removed)\n" in outcome.err
    assert outcome.err.endswith(f"1 of 1 journal, {len(as_line(of(40))):,} bytes, would be removed.\n")
    kept = chatstore("cache", "prune", "--older-than", "50d", "--dry-run")
    assert kept.err.endswith("No journal would be removed.\n")
    for arguments, code, message in (
        (["--older-than", "2099-01-01", "--yes"], 2, "a time in the past"),
        (["--older-than", "soon"], 2, "--older-than: 'soon' is not a time"),
        ([], 2, "--older-than"),
        (["--older-than", "30d", "--read-only"], 4, "--read-only"),
        (["--older-than", "30d", "nowhere"], 3, "nowhere"),
        (["--older-than", "30d", "-"], 2, "standard input"),
        (["--older-than", "30d", "--yes", "--uri", "mongodb://%2Fnone.sock/"], 5, "cannot reach MongoDB"),
    ):
        outcome = chatstore("cache", "prune", *arguments, env={"CHATSTORE_MONGO__TIMEOUT_SECONDS": "0.2"})
        assert (outcome.code, outcome.out) == (code, ""), outcome.err
        assert message in outcome.err
    assert (folder / "s1.jsonl").exists()


def test_the_plan_the_removal_and_nothing_to_remove_are_said(chatstore: Chatstore, database: Documents, folder: Path):
    size = old_journal(folder / "s1.jsonl", of(40)).stat().st_size
    assert chatstore("flush-cache").code == 0
    plan = chatstore("cache", "prune", "--older-than", "30d")
    assert plan.code == 2
    *_, last_journal, end = plan.err.splitlines()
    assert last_journal.endswith(f"s1.jsonl (1 line, {size} bytes)")
    assert end == "Nothing was done. Run it again with --yes to confirm."
    nothing = chatstore("cache", "prune", "--older-than", "60d", "--yes")
    assert nothing.err.endswith("\nNo journal was removed.\n")
    done = chatstore("cache", "prune", "--older-than", "0s", "--yes")
    assert done.code == 0
    assert done.err.endswith(f"\nRemoved: 1 journal, {size} bytes.\n")
    assert list(folder.glob("*.jsonl")) == []


def test_a_link_that_is_named_is_not_followed(chatstore: Chatstore, database: Documents, folder: Path):
    real = old_journal(folder / "s1.jsonl", of(40))
    assert chatstore("flush-cache").code == 0
    (folder.parent / "named.jsonl").symlink_to(real)
    assert prune(chatstore, folder.parent / "named.jsonl", "--yes")["named.jsonl"]["reason"] == "a symbolic link"
    assert prune(chatstore, real, "--yes")["s1.jsonl"]["action"] == "pruned"
    assert not real.exists()


def test_while_a_worker_follows_the_folder_nothing_is_pruned(chatstore: Chatstore, database: Documents, folder: Path):
    old_journal(folder / "s1.jsonl", of(40))
    with running_worker(chatstore) as worker:
        worker.wait_until_it_said("Flushed 1/1")
        outcome = chatstore("cache", "prune", "--older-than", "30d", "--yes", "-o", "json")
        assert outcome.code == 8
        error = json.loads(outcome.err.splitlines()[-1])["error"]
        assert f"chatstore worker (process {worker.process.pid} on " in error["message"]
        assert prune(chatstore, "--dry-run")["s1.jsonl"]["action"] == "prune"
        assert worker.end() == 0
    assert prune(chatstore, "--yes")["s1.jsonl"]["action"] == "pruned"
    assert list(folder.glob("*.jsonl")) == []


# --- what counts as proven -------------------------------------------------------------------------------------------


def decision_of(
    connection: Connection, folder: Path, name: str = "s1.jsonl", days: float = 30, ttl_days: int = 30
) -> tuple[bool, str]:
    journals = PrunableJournals([str(folder)], "/nonexistent")
    with journals.to_read() as found:
        rules = PruneRules(NOW - timedelta(days=days), NOW, ttl_days)
        decisions = plan_pruning(found, store_of(connection), rules)
    [decision] = [decision for decision in decisions if Path(decision.journal).name == name]
    return decision.prune, decision.reason


def test_what_the_database_deleted_since_counts_only_where_the_ledger_knows_of_it(
    connection: Connection, database: Documents, tmp_path: Path
):
    old_journal(tmp_path / "s1.jsonl", of(50), of(45, 1), of(31, 2))
    flush(connection, tmp_path)
    database[COLLECTION].delete_one({"text": "message 0"})  # as its TTL index does
    assert decision_of(connection, tmp_path) == (True, "every line is stored, 1 of them has expired since")
    database[COLLECTION].delete_many({})
    assert decision_of(connection, tmp_path) == (True, "every line is stored, 3 of them have expired since")
    assert decision_of(connection, tmp_path, ttl_days=35) == (False, "1 line is not stored")  # deleted before its time
    assert decision_of(connection, tmp_path, ttl_days=0) == (False, "3 lines are not stored")
    forget(tmp_path)
    assert decision_of(connection, tmp_path) == (False, "3 lines are not stored")


def test_lines_behind_what_the_ledger_knows_have_to_be_in_the_database(
    connection: Connection, database: Documents, tmp_path: Path
):
    journal = old_journal(tmp_path / "s1.jsonl", of(50), of(49, 1))
    flush(connection, tmp_path)
    with journal.open("ab") as stream:
        stream.write(as_lines([of(48, 2)]))
    age(journal, 40)
    assert decision_of(connection, tmp_path) == (False, "1 line is not stored")


def test_a_ledger_of_another_file_or_of_a_dropped_collection_proves_nothing(
    connection: Connection, database: Documents, tmp_path: Path
):
    journal = old_journal(tmp_path / "s1.jsonl", of(50))
    flush(connection, tmp_path)
    database[COLLECTION].delete_many({})
    assert decision_of(connection, tmp_path)[0]
    old_journal(tmp_path / "other", of(50, 7)).replace(journal)
    assert decision_of(connection, tmp_path) == (False, "1 line is not stored")
    flush(connection, tmp_path)
    assert decision_of(connection, tmp_path)[0]
    database[COLLECTION].drop()
    assert decision_of(connection, tmp_path) == (False, "1 line is not stored")


def test_lines_of_sessions_deleted_on_purpose_are_dealt_with(
    chatstore: Chatstore, connection: Connection, database: Documents, tmp_path: Path
):
    old_journal(tmp_path / "s1.jsonl", of(40), of(40, 1, session="s2"))
    flush(connection, tmp_path)
    assert chatstore("sessions", "delete", "s1", "--yes").code == 0
    assert decision_of(connection, tmp_path) == (True, "1 was deleted with the session, the others are stored")


def test_only_the_journals_of_deleted_sessions_are_selected(
    chatstore: Chatstore, database: Documents, folder: Path
) -> None:
    """At once after the deletion: of any age. A session that was started anew keeps its newer, stored messages."""
    for session in ("deleted", "anew", "kept", "unstored"):
        write_journal(folder / f"{session}.jsonl", [of(1, number, session) for number in range(3)])
    assert chatstore("flush-cache", folder).code == 0
    for session in ("deleted", "anew", "unstored"):
        assert chatstore("sessions", "delete", session, "--yes").code == 0
    later = record(9, session="anew", created_at=datetime.now(UTC).isoformat(timespec="microseconds"))
    answered = later | {
        "session_id": "unstored",
        "message_id": "a",
        "reply_to": "q",
        "reply_to_at": of(1)["created_at"],
    }
    for session, lines in (("anew", [later]), ("unstored", [answered, later | {"session_id": "unstored"}])):
        with (folder / f"{session}.jsonl").open("ab") as journal:
            journal.write(as_lines(lines))
    assert chatstore("flush-cache", folder / "anew.jsonl").code == 0
    outcome = chatstore("cache", "prune", "--older-than", "0s", "--deleted", "--yes", "-o", "json")
    assert outcome.code == 0, outcome.err
    rows = {
        row["session_id"]: (row["action"], row["covered"], row["reason"]) for row in json.loads(outcome.out)["items"]
    }
    assert rows == {
        "deleted": ("pruned", 3, "every line was deleted with its session"),
        "anew": ("pruned", 3, "3 were deleted with the session, the others are stored"),
        "kept": ("keep", 0, "none of its lines was deleted"),
        "unstored": ("keep", 4, "1 line is not stored"),
    }
    assert sorted(path.name for path in folder.glob("*.jsonl")) == ["kept.jsonl", "unstored.jsonl"]


def test_rows_that_the_application_stored_itself_prove_it_too(
    connection: Connection, database: Documents, tmp_path: Path
):
    lines = [of(40), of(40), of(39, 1)]
    old_journal(tmp_path / "s1.jsonl", *lines)
    database[COLLECTION].insert_many({**line, "_id": ObjectId()} for line in lines[1:])
    assert decision_of(connection, tmp_path) == (False, "1 line is not stored")
    database[COLLECTION].insert_one({**lines[0], "_id": ObjectId()})
    assert decision_of(connection, tmp_path) == (True, "every line is stored")


def test_a_line_that_two_journals_have_and_the_database_has_not_keeps_both(connection: Connection, tmp_path: Path):
    for name in ("s1.jsonl", "s1.jsonl.1"):
        old_journal(tmp_path / name, of(40, message_id="m"), of(41, 1))
    for name in ("s1.jsonl", "s1.jsonl.1"):
        assert decision_of(connection, tmp_path, name) == (False, "2 lines are not stored")


def test_a_message_id_that_is_stored_with_other_content_proves_nothing(connection: Connection, tmp_path: Path):
    old_journal(tmp_path / "s2.jsonl", of(40, message_id="m", text="another"))
    flush(connection, tmp_path)
    old_journal(tmp_path / "s1.jsonl", of(40, message_id="m"))
    assert decision_of(connection, tmp_path) == (False, "1 line cannot be stored")


# --- removing --------------------------------------------------------------------------------------------------------


def plan_and(
    connection: Connection, folder: Path, happening: Callable[[], None], paths: list[str] | None = None
) -> list[tuple[bool, str]]:
    """Prune, and call a function between the comparison and the removal."""
    journals = PrunableJournals(paths or [str(folder)], "/nonexistent")
    with journals.to_prune("test") as found:
        decisions = plan_pruning(found, store_of(connection), PruneRules(NOW - timedelta(days=30), NOW, 30))
        happening()
        return [(decision.prune, decision.reason) for decision in carry_out(decisions, found, journals.remove)]


def test_a_journal_that_changed_after_it_was_proven_stays(connection: Connection, tmp_path: Path):
    journal = old_journal(tmp_path / "s1.jsonl", of(40))
    flush(connection, tmp_path)

    def append() -> None:
        with journal.open("ab") as stream:
            stream.write(as_line(of(0)))

    def replace() -> None:
        age(write_journal(tmp_path / "other", [of(40)]), 40).replace(journal)

    def link() -> None:
        journal.replace(tmp_path / "kept")
        journal.symlink_to(tmp_path / "kept")

    assert plan_and(connection, tmp_path, append) == [(False, "it has changed")]
    old_journal(journal, of(40))
    assert plan_and(connection, tmp_path, replace) == [(False, "it has changed")]
    assert plan_and(connection, tmp_path, journal.unlink) == [
        (False, "it cannot be removed: No such file or directory")
    ]
    old_journal(journal, of(40))
    [(pruned, reason)] = plan_and(connection, tmp_path, link)
    assert (pruned, reason) == (False, "it cannot be removed: Too many levels of symbolic links")
    assert (tmp_path / "kept").exists()


def test_a_subfolder_that_became_a_link_leads_nowhere(connection: Connection, tmp_path: Path):
    journals = tmp_path / "journals"
    old_journal(journals / "sub" / "s1.jsonl", of(40))
    flush(connection, journals)

    def swap() -> None:
        (journals / "sub").rename(tmp_path / "outside")
        (journals / "sub").symlink_to(tmp_path / "outside")

    [(pruned, reason)] = plan_and(connection, journals, swap)
    assert not pruned
    assert reason == "it cannot be removed: Not a directory"
    assert (tmp_path / "outside" / "s1.jsonl").exists()


def test_a_writer_that_waits_for_the_lock_finds_its_file_gone_and_makes_another(
    connection: Connection, database: Documents, tmp_path: Path
):
    writer = JournalWriter(tmp_path)
    writer.append("s1", writer.encode(of(40, message_id="m0")))
    journal = age(tmp_path / "s1.jsonl", 40)
    flush(connection, tmp_path)
    written = threading.Event()

    def write() -> None:
        writer.append("s1", writer.encode(of(0, 1, message_id="m1")))
        written.set()

    thread = threading.Thread(target=write)
    with journal.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # as the pruner holds it
        thread.start()
        assert not written.wait(0.2)
        journal.unlink()
    thread.join()
    assert flush(connection, tmp_path).stored == 1
    assert sum(stored(database).values()) == 2
    writer.close()


def test_a_writer_that_does_not_let_go_keeps_its_journal(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    journal = old_journal(tmp_path / "s1.jsonl", of(40))
    flush(connection, tmp_path)
    monkeypatch.setattr("chatstore_cli.files.prunable_journals._SECONDS_TO_LOCK", 0.1)
    with journal.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert plan_and(connection, tmp_path, lambda: None) == [(False, "another process keeps its lock")]
    assert plan_and(connection, tmp_path, lambda: None) == [(True, "every line is stored")]


def test_folders_of_long_names_go_with_their_last_journal(connection: Connection, tmp_path: Path):
    one, other, old = ("x" * 500, "x" * 210, "y" * 210)
    journals = tmp_path / "journals"
    for session, days in ((one, 40), (other, 3), (old, 40)):
        path = journal_path(journals, session)
        old_journal(path, of(days, session=session), days=days)
    old_journal(journals / "plain" / "s1.jsonl", of(40))
    flush(connection, journals)
    decisions = plan_and(connection, journals, lambda: None)
    assert sorted(pruned for pruned, _ in decisions) == [False, True, True, True]
    left = sorted(str(path.relative_to(journals)) for path in journals.rglob("*") if ".chatstore" not in path.parts)
    folder_of_other = journal_path(journals, other).parent.name
    assert left == ["plain", folder_of_other, f"{folder_of_other}/{journal_path(journals, other).name}"]


def test_a_writer_whose_folder_is_removed_as_an_empty_one_makes_it_again(tmp_path: Path):
    """Between making the folder and making the file in it."""
    session = "x" * 500
    folder = journal_path(tmp_path, session).parent
    ended = threading.Event()

    def remove() -> None:
        while not ended.wait(0.0005):  # without a pause a busy machine would never let the writer through
            for empty in (folder, folder.parent):
                with contextlib.suppress(OSError):
                    empty.rmdir()

    thread = threading.Thread(target=remove)
    thread.start()
    try:
        for number in range(300):
            writer = JournalWriter(tmp_path)
            writer.append(session, writer.encode(of(0, number, session=session)))
            writer.close()
            journal_path(tmp_path, session).unlink()
    finally:
        ended.set()
        thread.join()


def test_a_name_that_is_used_again_is_stored_from_its_first_line(
    connection: Connection, database: Documents, tmp_path: Path
):
    old_journal(tmp_path / "s1.jsonl", of(40))
    flush(connection, tmp_path)
    assert plan_and(connection, tmp_path, lambda: None) == [(True, "every line is stored")]
    write_journal(tmp_path / "s1.jsonl", [of(0, 1), of(0, 2)])
    assert flush(connection, tmp_path).stored == 2
    assert sum(stored(database).values()) == 3


def test_many_journals_are_one_plan(connection: Connection, tmp_path: Path):
    for number in range(40):
        old_journal(tmp_path / f"s{number}.jsonl", of(40, number, session=f"s{number}"))
    flush(connection, tmp_path)
    decisions = plan_and(connection, tmp_path, lambda: None)
    assert decisions == [(True, "every line is stored")] * 40
    assert list(tmp_path.glob("*.jsonl")) == []


def test_the_plan_in_words_is_bounded() -> None:
    decisions = [
        PruneDecision(f"/j/s{number}.jsonl", f"s{number}", 1, 100, None, True, "every line is stored")
        for number in range(50)
    ]
    lines = describe_plan(decisions).splitlines()
    assert lines[0] == "50 of 50 journals, 5,000 bytes, would be removed. Every line of them is stored:"
    assert len(lines) == 22
    assert lines[-1] == "  … and 30 more (--dry-run lists all of them)"
    odd = [dataclasses.replace(decisions[0], covered=2, dropped=1, expired=1), decisions[1]]
    proof = describe_plan(odd).splitlines()[0].partition("Every line of them is stored, except ")[2]
    assert proof == (
        "2 lines that were deleted with the session and 1 line that was dropped from the quarantine and 1 line that has "
        "expired since:"
    )
    done = [dataclasses.replace(decision, pruned=number > 0) for number, decision in enumerate(decisions)]
    told = "Removed: 49 journals, 4,900 bytes. 1 journal was kept after all, for the reason in REASON."
    assert describe_result(done, 50) == told
