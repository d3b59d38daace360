"""Flushing stores each message exactly once, whatever was stored before, however often, in any parts."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from bson import ObjectId
from hypothesis import given, settings
from hypothesis import strategies as st

from chatstore_cli.core.flush import occurrences as tally
from chatstore_cli.core.flush import run as flush_module
from chatstore_cli.core.flush import storing as flush_storing
from chatstore_cli.core.flush.options import FlushOptions
from chatstore_cli.core.flush.storing import StoringRules
from chatstore_cli.domain.errors import Unreachable
from chatstore_cli.files import journal_reader
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.wiring.journals import named_journals
from tests.support.in_memory import connection_in_memory
from tests.support.journals import (
    COLLECTION,
    Key,
    as_lines,
    coarse,
    flush,
    forget,
    key_of_record,
    missing_from,
    quarantined,
    record,
    settings_for,
    store_of,
    stored,
    wanted_of,
    write_journal,
)

Record = dict[str, Any]


class UuidStore:
    """mongomock has no collection UUID; with this one the ledger is used in memory too."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def collection_id(self) -> str:
        return "the same all the time"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def flush_with_ledger(connection: Connection, folder: Path, **options: Any) -> Any:
    from tests.support.journals import store_of

    store = UuidStore(store_of(connection)) if connection.in_memory else None
    return flush(connection, folder, store=store, **options)


# --- the rule, for any journal and whatever was there ----------------------------------------------------------------

one_record = st.builds(
    lambda session, second, microsecond, text, role, message_id: record(
        0,
        session=session,
        text=text,
        role=role,
        created_at=(
            datetime(2026, 3, 2, 11, 41, second, 195_000 + microsecond, tzinfo=UTC).isoformat(timespec="microseconds")
        ),
        message_id=message_id and f"{message_id}-{second}-{microsecond}-{text}-{role}",
    ),
    st.sampled_from(["s1", "s2"]),
    st.integers(0, 2),
    st.sampled_from([0, 1, 769]),
    st.sampled_from(["a", "b\0", ""]),
    st.sampled_from(["user", "assistant"]),
    st.sampled_from([None, None, "m"]),
)
journals = st.lists(one_record, max_size=14)


def notations(moment: datetime) -> list[Any]:
    """An instant as other writers store it: text in several forms, and a BSON date, which keeps milliseconds."""
    return [
        moment.isoformat(timespec="microseconds"),
        moment.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        moment.astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat(timespec="microseconds"),
        moment.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds"),
        moment,
    ]


@st.composite
def foreign_rows(draw: st.DrawFn, lines: list[Record]) -> list[Record]:
    """Rows that the application stored itself: some of the journal's messages, and some others."""
    taken = draw(st.lists(st.sampled_from(lines), max_size=6)) if lines else []
    rows = []
    for fields in [*taken, *draw(st.lists(one_record, max_size=2))]:
        created_at = draw(st.sampled_from(notations(datetime.fromisoformat(fields["created_at"]))))
        rows.append({**fields, "created_at": created_at, "_id": ObjectId()})
    return rows


def store_foreign(connection: Connection, rows: list[Record]) -> tuple[Counter[Key], Counter[Key]]:
    """Store the rows. Returns their contents, exactly and in milliseconds."""
    exact: Counter[Key] = Counter()
    in_milliseconds: Counter[Key] = Counter()
    for row in rows:
        connection.database[COLLECTION].insert_one(dict(row))
        moment = row["created_at"]
        if isinstance(moment, datetime):
            text = moment.isoformat(timespec="microseconds")
            in_milliseconds[coarse(key_of_record({**row, "created_at": text}))] += 1
        else:
            exact[key_of_record(row)] += 1
    return exact, in_milliseconds


def ours(connection: Connection) -> Counter[Key]:
    return Counter(
        key_of_record(row) for row in connection.database[COLLECTION].find() if not isinstance(row["_id"], ObjectId)
    )


def assert_rule(
    connection: Connection, lines: list[Record], exact: Counter[Key], in_milliseconds: Counter[Key]
) -> None:
    added = ours(connection)
    wanted = wanted_of(lines)
    by_coarse: Counter[Key] = Counter()
    for key, count in added.items():
        by_coarse[coarse(key)] += count
    assert by_coarse == missing_from(wanted, exact, in_milliseconds)
    assert added <= wanted - exact


@contextmanager
def journal_folder() -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        yield Path(folder)


def check_in_parts(connection: Connection, lines: list[Record], rows: list[Record], data: st.DataObject) -> None:
    exact, in_milliseconds = store_foreign(connection, rows)
    content = as_lines(lines)
    with journal_folder() as folder:
        journal = folder / "s.jsonl"
        cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=3), label="cuts"))
        for cut in [*cuts, len(content)]:
            journal.write_bytes(content[:cut])
            if data.draw(st.booleans(), label="ledger lost"):
                forget(folder)
            flush_with_ledger(connection, folder, ignore_ledger=data.draw(st.booleans(), label="ledger ignored"))
        assert_rule(connection, lines, exact, in_milliseconds)
        before = sum(ours(connection).values())
        forget(folder)
        again = flush_with_ledger(connection, folder)
        assert (again.stored, sum(ours(connection).values())) == (0, before)
        assert (again.quarantined, again.already_quarantined, again.lines) == (0, 0, len(lines))


cases = journals.flatmap(lambda lines: st.tuples(st.just(lines), foreign_rows(lines)))


@settings(max_examples=100)
@given(cases, st.data())
def test_what_is_stored_in_the_end_is_the_journal_minus_what_was_there(
    case: tuple[list[Record], list[Record]], data: st.DataObject
):
    """The journal is flushed in any parts (cut at any byte), with its ledger or without. Each foreign row is one line."""
    check_in_parts(connection_in_memory(), *case, data)


@pytest.mark.real
def test_the_same_on_a_real_server(connection: Connection):
    check_on_a_real_server(connection, examples=15)


@pytest.mark.real
@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_the_same_on_a_real_server_for_long(connection: Connection):
    check_on_a_real_server(connection, examples=2_000)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@settings(max_examples=5_000)
@given(cases, st.data())
def test_the_same_in_memory_for_long(case: tuple[list[Record], list[Record]], data: st.DataObject):
    check_in_parts(connection_in_memory(), *case, data)


def check_on_a_real_server(connection: Connection, examples: int) -> None:
    @settings(max_examples=examples)
    @given(cases, st.data())
    def check(case: tuple[list[Record], list[Record]], data: st.DataObject) -> None:
        connection.database.drop_collection(COLLECTION)
        check_in_parts(connection, *case, data)

    check()


nameless = st.lists(one_record.map(lambda fields: {k: v for k, v in fields.items() if k != "message_id"}), max_size=8)


@settings(max_examples=40)
@given(st.lists(nameless, min_size=2, max_size=3), st.data())
def test_a_message_in_several_journals_is_stored_as_often_as_the_one_with_most_has_it(
    several: list[list[Record]], data: st.DataObject
):
    connection = connection_in_memory()
    with journal_folder() as folder:
        for number, lines in enumerate(several):
            write_journal(folder / f"s.jsonl.{number}", lines)
        flush_with_ledger(connection, folder)
        expected: Counter[Key] = Counter()
        for lines in several:
            expected |= wanted_of(lines)
        assert stored(connection.database) == expected
        assert flush_with_ledger(connection, folder, ignore_ledger=True).stored == 0


@settings(max_examples=40)
@given(journals, st.integers(1, 5), st.data())
def test_a_small_window_and_small_blocks_change_nothing(lines: list[Record], window: int, data: st.DataObject):
    """Journals in any order of time: what leaves the window is counted on disk, from the first line on."""
    connection = connection_in_memory()
    exact, in_milliseconds = store_foreign(connection, data.draw(foreign_rows(lines)))
    with pytest.MonkeyPatch.context() as patch, journal_folder() as folder:
        patch.setattr(flush_module, "WindowedCount", lambda floor="": tally.WindowedCount(floor, window))
        patch.setattr(journal_reader, "BLOCK", 150)
        patch.setattr(flush_module, "_BATCH_MESSAGES", 2)
        patch.setattr(flush_storing, "_SESSIONS_KEPT", 1)
        half = len(lines) // 2
        write_journal(folder / "s.jsonl", lines[:half])
        flush_with_ledger(connection, folder)
        write_journal(folder / "s.jsonl", lines)
        flush_with_ledger(connection, folder)
        assert_rule(connection, lines, exact, in_milliseconds)


@settings(max_examples=40)
@given(cases)
def test_a_dry_run_says_what_the_run_does_and_writes_nothing(case: tuple[list[Record], list[Record]]):
    lines, rows = case
    connection = connection_in_memory()
    store_foreign(connection, rows)
    with journal_folder() as folder:
        write_journal(folder / "s.jsonl", [*lines, {"bad": 1}])
        before = stored_documents(connection)
        said = flush_with_ledger(connection, folder, rules=StoringRules(dry_run=True))
        assert stored_documents(connection) == before
        assert [path.name for path in folder.iterdir()] == ["s.jsonl"]
        assert numbers(said) == numbers(flush_with_ledger(connection, folder))
        said = flush_with_ledger(connection, folder, rules=StoringRules(dry_run=True))
        assert numbers(said) == numbers(flush_with_ledger(connection, folder))


def stored_documents(connection: Connection) -> list[Any]:
    return sorted((repr(row) for row in connection.database[COLLECTION].find()), key=str)


def numbers(result: Any) -> dict[str, int]:
    names = ("files", "lines", "stored", "already_stored", "quarantined", "already_quarantined", "skipped", "pending")
    return {name: getattr(result, name) for name in names}


# --- single cases that the rule stands or falls with -----------------------------------------------------------------


@pytest.fixture
def memory() -> Connection:
    return connection_in_memory()


def test_a_row_of_milliseconds_stands_for_one_line_also_when_the_second_one_is_appended(
    memory: Connection, tmp_path: Path
):
    first = record(0, created_at="2026-03-02T11:41:00.195001+00:00")
    second = record(0, created_at="2026-03-02T11:41:00.195769+00:00")
    store_foreign(memory, [{**first, "created_at": datetime(2026, 3, 2, 11, 41, 0, 195_000, UTC), "_id": ObjectId()}])
    write_journal(tmp_path / "s.jsonl", [first])
    assert flush_with_ledger(memory, tmp_path).already_stored == 1
    write_journal(tmp_path / "s.jsonl", [first, second])
    assert flush_with_ledger(memory, tmp_path).stored == 1
    assert memory.database[COLLECTION].count_documents({}) == 2


def test_a_row_stands_for_one_message_id_only_also_when_the_second_one_is_appended(memory: Connection, tmp_path: Path):
    first, second = record(0, message_id="m1"), record(0, message_id="m2")
    store_foreign(memory, [{**record(0), "_id": ObjectId()}])
    write_journal(tmp_path / "s.jsonl", [first])
    assert flush_with_ledger(memory, tmp_path).already_stored == 1
    write_journal(tmp_path / "s.jsonl", [first, second, second])
    assert flush_with_ledger(memory, tmp_path).stored == 1
    assert memory.database[COLLECTION].count_documents({}) == 2


def test_reading_again_begins_with_the_rows_of_others_as_they_are(
    memory: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Rows that the first reading used must be available again in the second, and only once."""
    monkeypatch.setattr(journal_reader, "BLOCK", 100)
    lines = [record(0)]
    store_foreign(memory, [{**record(number), "_id": ObjectId()} for number in (0, 2)])
    write_journal(tmp_path / "s.jsonl", lines)
    assert flush_with_ledger(memory, tmp_path).already_stored == 1
    lines += [record(1), record(2), record(0), record(0)]
    write_journal(tmp_path / "s.jsonl", lines)
    said: list[str] = []
    result = flush_with_ledger(memory, tmp_path, said=said)
    assert any("reading it again from its first line" in line for line in said)
    assert (result.lines, result.stored, result.already_stored) == (5, 3, 2)
    assert stored(memory.database) == wanted_of(lines)


def test_equal_lines_are_as_many_messages_also_when_one_is_appended_later(memory: Connection, tmp_path: Path):
    for count in (1, 2, 5):
        write_journal(tmp_path / "s.jsonl", [record(0)] * count)
        flush_with_ledger(memory, tmp_path)
        assert stored(memory.database) == {key_of_record(record(0)): count}


def test_one_message_id_with_other_content_is_quarantined_each_time_and_never_dropped(
    memory: Connection, tmp_path: Path
):
    lines = [record(0, message_id="m"), *[record(0, message_id="m", text="changed")] * 2, record(0, message_id="m")]
    write_journal(tmp_path / "s.jsonl", lines)
    said = flush_with_ledger(memory, tmp_path, rules=StoringRules(dry_run=True))
    result = flush_with_ledger(memory, tmp_path)
    assert (result.stored, result.already_stored, result.quarantined) == (1, 1, 2)
    assert numbers(said) == numbers(result)
    assert [line.line for line in quarantined(tmp_path)] == [2, 3]
    assert {line.reason for line in quarantined(tmp_path)} == {"message_id 'm' is already stored with other content"}
    forget(tmp_path)
    again = flush_with_ledger(memory, tmp_path)
    assert (again.stored, again.quarantined, again.already_quarantined) == (0, 0, 2)


def test_one_message_id_in_two_sessions_is_two_messages(memory: Connection, tmp_path: Path):
    write_journal(tmp_path / "s.jsonl", [record(0, message_id="m"), record(0, message_id="m", session="s2")])
    assert flush_with_ledger(memory, tmp_path).stored == 2


def test_a_dry_run_that_has_to_read_twice_counts_bad_lines_once(
    memory: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(flush_module, "WindowedCount", lambda floor="": tally.WindowedCount(floor, 2))
    monkeypatch.setattr(journal_reader, "BLOCK", 100)
    write_journal(tmp_path / "s.jsonl", [{"bad": 1}, *(record(number) for number in (5, 6, 7, 8, 9, 0))])
    said = flush_with_ledger(memory, tmp_path, rules=StoringRules(dry_run=True))
    assert (said.lines, said.stored, said.quarantined, said.already_quarantined) == (7, 6, 1, 0)
    result = flush_with_ledger(memory, tmp_path)
    assert numbers(said) == numbers(result)


def test_a_tombstone_keeps_a_deleted_session_away(memory: Connection, tmp_path: Path):
    tombstone = {"_id": {"layout": "messages", "session_id": "s1"}, "deleted_at": datetime.now(UTC)}
    memory.database["chatstore_tombstones"].insert_one(tombstone)
    write_journal(tmp_path / "s.jsonl", [record(0), record(1), record(0, session="s2")])
    result = flush_with_ledger(memory, tmp_path)
    assert (result.stored, result.skipped) == (1, 2)
    assert {key[0] for key in stored(memory.database)} == {"s2"}


@pytest.mark.real
def test_unknown_fields_are_kept_and_ours_are_not_overwritten(connection: Connection, tmp_path: Path):
    brought = {"_id": 5, "sequence": "seven", "expires_at": "never", "extra_fields": 1, "$where": {"a.b": [None]}}
    write_journal(tmp_path / "s.jsonl", [record(0), record(1, **brought)])
    assert flush_with_ledger(connection, tmp_path).stored == 2
    row = connection.database[COLLECTION].find_one({"text": "message 1"})
    assert row is not None
    kept = {name: row[name] for name in row if name not in {*record(0), "_id", "expires_at", "sequence"}}
    reserved = {name: value for name, value in brought.items() if name != "$where"}
    assert kept == {"$where": {"a.b": [None]}, "extra_fields": reserved}
    assert (len(row["_id"]), row["sequence"]) == (32, 2)


def test_sequence_is_the_place_of_the_record_in_its_journal(memory: Connection, tmp_path: Path):
    """Blank lines have no number; quarantined lines have one, and so has each of two fused records."""
    lines = as_lines([record(0)]) + b"\n \n{}\n" + as_lines([record(1)])[:-1] + as_lines([record(2)])
    (tmp_path / "s.jsonl").write_bytes(lines)
    flush_with_ledger(memory, tmp_path)
    (tmp_path / "s.jsonl").write_bytes(lines + as_lines([record(3)]))
    flush_with_ledger(memory, tmp_path)
    rows = memory.database[COLLECTION].find().sort("sequence")
    assert [(row["text"], row["sequence"]) for row in rows] == [
        ("message 0", 1), ("message 1", 3), ("message 2", 4), ("message 3", 5),
    ]  # fmt: skip


def test_a_session_that_is_deleted_while_it_is_stored_gets_no_more_lines(
    memory: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """One run may take hours: a session may be deleted after the run has asked for it."""
    monkeypatch.setattr(flush_module, "_BATCH_MESSAGES", 10)
    monkeypatch.setattr(flush_module, "STORING_THREADS", 1)
    tombstones = memory.database["chatstore_tombstones"]

    class Deleting(UuidStore):
        def insert(self, entries: Any, expires_at: Any) -> Any:
            inserted = self._inner.insert(entries, expires_at)
            key = {"layout": "messages", "session_id": "s1"}
            tombstones.update_one({"_id": key}, {"$set": {"deleted_at": datetime.now(UTC)}}, upsert=True)
            return inserted

    write_journal(tmp_path / "s.jsonl", [record(number) for number in range(100)])
    result = flush(memory, tmp_path, store=Deleting(store_of(memory)))
    assert (result.stored, result.skipped) == (10, 90)


def test_a_flush_that_is_asked_to_stop_gives_what_was_done_and_the_next_one_goes_on(
    memory: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(journal_reader, "BLOCK", 1_000)
    lines = [record(number) for number in range(200)]
    write_journal(tmp_path / "s.jsonl", lines)
    store: Any = UuidStore(store_of(memory))
    with named_journals(settings_for(tmp_path), [str(tmp_path)]).to_flush("test") as sources:
        first = flush_module.Flush(store, FlushOptions(), on_progress=lambda _: first.stop())
        stopped = first.run(sources)
    assert 0 < stopped.lines < 20
    assert (stopped.stored, stopped.already_stored) == (stopped.lines, 0)
    result = flush_with_ledger(memory, tmp_path)
    assert (result.lines, result.stored) == (200 - stopped.lines, 200 - stopped.lines)
    assert stored(memory.database) == wanted_of(lines)


def test_a_row_that_is_removed_while_it_is_compared_is_no_other_content(memory: Connection, tmp_path: Path):
    """A dropped collection or an expired row does the same. The line can be stored, so it is not quarantined."""

    class Vanishing(UuidStore):
        def stored_contents(self, identities: Any) -> Any:
            memory.database[COLLECTION].delete_many({})
            return self._inner.stored_contents(identities)

    write_journal(tmp_path / "s.jsonl", [record(0, message_id="m"), record(0, message_id="m")])
    result = flush(memory, tmp_path, store=Vanishing(store_of(memory)))
    assert (result.lines, result.quarantined) == (2, 0)
    assert quarantined(tmp_path) == []
    assert stored(memory.database) == wanted_of([record(0, message_id="m")])


def test_a_batch_that_failed_is_read_again_though_a_later_one_is_stored(
    memory: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(flush_module, "_BATCH_MESSAGES", 1)
    monkeypatch.setattr(journal_reader, "BLOCK", 180)  # about a line
    second_stored = threading.Event()

    class FirstBatchFails(UuidStore):
        def insert(self, entries: Any, expires_at: Any) -> Any:
            if any(entry.number == 1 for entry in entries):
                assert second_stored.wait(60)
                raise Unreachable(what="no answer")
            inserted = self._inner.insert(entries, expires_at)
            second_stored.set()
            return inserted

    lines = [record(0), record(1)]
    write_journal(tmp_path / "s.jsonl", lines)
    with pytest.raises(Unreachable):
        flush(memory, tmp_path, store=FirstBatchFails(store_of(memory)), timeout=0)
    assert memory.database[COLLECTION].count_documents({}) == 1
    flush_with_ledger(memory, tmp_path)
    assert stored(memory.database) == wanted_of(lines)


def test_good_lines_are_not_quarantined_while_a_primary_steps_down(
    memory: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The server reports it for each document, as it does a document that it rejects."""
    write_journal(tmp_path / "s.jsonl", [record(0), record(1)])
    store = store_of(memory)
    answer = {"n": 0, "writeErrors": [{"index": 0, "code": 189, "errmsg": "primary stepped down"}]}
    monkeypatch.setattr(store._inserter, "_insert_command", lambda documents: answer)
    with pytest.raises(Unreachable):
        flush(memory, tmp_path, store=store, timeout=0)
    assert quarantined(tmp_path) == []
    assert flush(memory, tmp_path).stored == 2
