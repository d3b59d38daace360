"""Flushing into a real MongoDB: refused messages, changes that the ledger notices, expiry."""

from __future__ import annotations

import gzip
import os
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from chatstore_cli.core.flush.storing import StoringRules
from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.files import journal_reader
from chatstore_cli.files import state_folder as state
from chatstore_cli.mongo.connection import Connection
from tests.support.journals import (
    COLLECTION,
    as_line,
    as_lines,
    flush,
    forget,
    instant,
    key_of_record,
    quarantined,
    record,
    retry_quarantine,
    store_of,
    stored,
    wanted_of,
    write_journal,
)

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for journals; the state folder is beside it."""
    (tmp_path / "journals").mkdir()
    return tmp_path / "journals"


def texts(database: Documents) -> list[str]:
    return sorted(row["text"] for row in database[COLLECTION].find())


# --- lines that cannot be stored -------------------------------------------------------------------------------------

BAD_LINES: list[tuple[bytes, str]] = [
    (b"not json", "not JSON: Expecting value"),
    (b"[1, 2]", "not a JSON object"),
    (b"null", "not a JSON object"),
    (as_line(record(90, role=None))[:-1], 'no "role"'),
    (as_line(record(90, text=7))[:-1], "text is a number"),
    (as_line(record(90, role="narrator"))[:-1], "unknown role 'narrator'"),
    (as_line(record(90, created_at="noon"))[:-1], "created_at 'noon' is not a time: write ISO 8601"),
    (as_line(record(90))[:-1].replace(b"message", b"m\xff\xfe"), "not UTF-8 at byte"),
    (as_line(record(90))[:-2] + b', "role": "user"}', 'the key "role" occurs more than once'),
    (b'{"text": "a", ' + as_line(record(90))[1:-1], 'the key "text" occurs more than once'),
    (as_line(record(90, metadata={"a\0b": 1}))[:-1], "NULL byte"),
    (as_line(record(90, metadata={"d": "@"}))[:-1].replace(b'"@"', b"[" * 190 + b"]" * 190), "180 levels"),
    (as_line(record(90, metadata={"d": "@"}))[:-1].replace(b'"@"', b"[1e300," * 1000 + b"0" + b"]" * 1000), "deep"),
    (as_line(record(90, metadata={"d": "@"}))[:-1].replace(b'"@"', b"[" * 9999 + b"]" * 9999), "deeply"),
    (as_line(record(90, text="x" * 17_000_000))[:-1], "over the limit of 16 MiB"),
    (b'{"session_id": "s1", "role": "us', "not JSON"),
]


def test_every_kind_of_bad_line_is_kept_with_its_place_and_reason_and_costs_no_other_line(
    connection: Connection, database: Documents, folder: Path
):
    good = [record(number) for number in range(len(BAD_LINES) + 1)]
    content = as_line(good[0])
    offsets = []
    for (raw, _), fields in zip(BAD_LINES, good[1:], strict=True):
        offsets.append(len(content))
        content += raw + b"\n" + as_line(fields)
    journal = folder / "s1.jsonl"
    journal.write_bytes(content)

    said = flush(connection, folder, rules=StoringRules(dry_run=True))
    assert (said.stored, said.quarantined) == (len(good), len(BAD_LINES))
    assert COLLECTION not in database.list_collection_names()
    result = flush(connection, folder)
    assert (result.lines, result.stored, result.quarantined) == (len(good) + len(BAD_LINES), len(good), len(BAD_LINES))
    assert stored(database) == wanted_of(good)

    kept = sorted(quarantined(folder), key=lambda line: line.offset)
    assert [line.raw for line in kept] == [raw for raw, _ in BAD_LINES]
    assert [line.offset for line in kept] == offsets
    assert [line.line for line in kept] == [2 * number + 2 for number in range(len(kept))]
    assert {line.source for line in kept} == {str(journal)}
    for line, (_, reason) in zip(kept, BAD_LINES, strict=True):
        assert reason in line.reason

    forget(folder)
    again = flush(connection, folder)
    assert (again.stored, again.quarantined, again.already_quarantined) == (0, 0, len(BAD_LINES))
    assert len(quarantined(folder)) == len(BAD_LINES)
    retried = retry_quarantine(connection, folder)
    assert (retried.stored, retried.still_quarantined) == (0, len(BAD_LINES))
    assert len(quarantined(folder)) == len(BAD_LINES)


def test_what_a_validator_refuses_waits_in_quarantine_until_the_validator_is_gone(
    connection: Connection, database: Documents, folder: Path
):
    refusing = {"$jsonSchema": {"properties": {"text": {"pattern": "^message [0-9]*[02468]$"}}}}
    database.create_collection(COLLECTION, validator=refusing)
    lines = [record(number, message_id=f"m{number}" if number % 3 else None) for number in range(60)]
    lines += [record(1), record(1)]  # equals of a refused one
    write_journal(folder / "s.jsonl", lines)
    result = flush(connection, folder)
    assert (result.stored, result.quarantined) == (30, 32)
    assert {line.reason for line in quarantined(folder)} == {
        "the server rejected it: Document failed validation (code 121)"
    }
    assert retry_quarantine(connection, folder).still_quarantined == 32

    database.command("collMod", COLLECTION, validator={})
    retried = retry_quarantine(connection, folder)
    assert (retried.lines, retried.stored, retried.still_quarantined) == (32, 32, 0)
    assert quarantined(folder) == []
    assert stored(database) == wanted_of(lines)
    forget(folder)
    assert flush(connection, folder).stored == 0
    sequences = sorted(row["sequence"] for row in database[COLLECTION].find())
    assert sequences == list(range(1, 63))


def test_another_content_under_one_message_id_stays_in_quarantine(
    connection: Connection, database: Documents, folder: Path
):
    write_journal(folder / "s.jsonl", [record(0, message_id="m"), record(1, message_id="m")])
    assert flush(connection, folder).quarantined == 1
    assert retry_quarantine(connection, folder).still_quarantined == 1
    database[COLLECTION].delete_many({})
    assert retry_quarantine(connection, folder).stored == 1
    assert texts(database) == ["message 1"]


def test_a_unique_index_of_somebody_elses_is_a_refusal_not_a_duplicate(
    connection: Connection, database: Documents, folder: Path
):
    database[COLLECTION].create_index("text", unique=True)
    write_journal(folder / "s.jsonl", [record(0, text="same"), record(1, text="same"), record(2)])
    result = flush(connection, folder)
    assert (result.stored, result.already_stored, result.quarantined) == (2, 0, 1)
    assert "E11000 duplicate key" in quarantined(folder)[0].reason


def test_a_line_too_long_for_memory_is_kept_in_a_file(
    connection: Connection, database: Documents, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(journal_reader, "LINE_LIMIT", 3_000)
    monkeypatch.setattr(journal_reader, "BLOCK", 1_000)
    long = as_line(record(1, text="x" * 10_000))
    (folder / "s.jsonl").write_bytes(as_line(record(0)) + long + as_line(record(2)))
    (folder / "t.jsonl.gz").write_bytes(gzip.compress(as_line(record(3)) + long))
    assert flush(connection, folder, rules=StoringRules(dry_run=True)).quarantined == 2
    result = flush(connection, folder)
    assert (result.stored, result.quarantined) == (3, 2)
    for line in quarantined(folder):
        assert (line.raw, line.length, line.line) == (None, len(long) - 1, 2)
        assert line.reason == f"{len(long) - 1:,} bytes long: a document holds at most 16 MiB"
        assert (folder / ".chatstore" / line.raw_file).read_bytes() == long[:-1]
    again = flush(connection, folder)
    assert (again.lines, again.quarantined) == (0, 0)
    forget(folder)
    again = flush(connection, folder)
    assert (again.quarantined, again.already_quarantined) == (0, 2)
    assert retry_quarantine(connection, folder).still_quarantined == 2


def test_only_the_lines_own_session_suffers_with_session(connection: Connection, database: Documents, folder: Path):
    lines = [record(0), record(1, session="s2"), record(2, session="s2", metadata={"a\0": 1})]
    (folder / "s.jsonl").write_bytes(as_lines(lines) + b"nobody's\n")
    result = flush(connection, folder, session="s2")
    assert (result.lines, result.stored, result.quarantined) == (2, 1, 1)
    assert texts(database) == ["message 1"]
    result = flush(connection, folder)
    assert (result.lines, result.stored, result.quarantined, result.already_quarantined) == (4, 1, 1, 1)
    assert texts(database) == ["message 0", "message 1"]


# --- the forms that files come in ------------------------------------------------------------------------------------

LINES = as_lines([record(0), record(1, text="é ☕ 𝄞")])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"\xef\xbb\xbf" + LINES, (2, 2, 0, 0), id="byte order mark"),
        pytest.param(LINES.replace(b"\n", b"\r\n"), (2, 2, 0, 0), id="CRLF"),
        pytest.param(b"\n\n  \n" + LINES + b"\t\n\n", (2, 2, 0, 0), id="blank lines"),
        pytest.param(b"", (0, 0, 0, 0), id="empty"),
        pytest.param(b"\n \n\r\n", (0, 0, 0, 0), id="nothing but blank lines"),
        pytest.param(b"\xef\xbb\xbf", (0, 0, 0, 0), id="nothing but a mark"),
        pytest.param(LINES[:-1], (2, 2, 0, 0), id="no line feed at the end"),
        pytest.param(LINES + b'{"session_id": "s1", "ro', (2, 2, 0, 1), id="torn at the end"),
        pytest.param(LINES + as_line(record(2))[:-3], (2, 2, 0, 1), id="nearly whole at the end"),
        pytest.param(LINES + b"17", (2, 2, 0, 1), id="a number that may go on"),
        pytest.param(LINES + b"{}", (3, 2, 1, 0), id="an object that cannot go on"),
        pytest.param(LINES + b"\0" * 4096, (2, 2, 0, 0), id="NULs at the end"),
        pytest.param(LINES + b"\0" * 4096 + as_line(record(2)), (3, 3, 0, 0), id="NULs inside"),
        pytest.param(b"\x1e" + LINES.replace(b"\n{", b"\n\x1e{"), (2, 2, 0, 0), id="JSON text sequence"),
        pytest.param(LINES.replace(b"\n{", b"\n\xef\xbb\xbf{"), (2, 2, 0, 0), id="files with a mark, joined"),
        pytest.param(LINES.replace(b"\n", b",\n"), (2, 2, 0, 0), id="commas between the lines"),
        pytest.param(LINES.replace(b"}\n{", b"}{"), (2, 2, 0, 0), id="fused"),
        pytest.param(LINES.replace(b"\n", b"\r") + b"\n", (2, 2, 0, 0), id="CR alone, then a line feed"),
        pytest.param(b'{"session_id": "s1", "te' + LINES, (3, 2, 1, 0), id="torn prefix"),
    ],
)
def test_journals_come_in_many_forms(
    connection: Connection, folder: Path, content: bytes, expected: tuple[int, int, int, int]
):
    """Lines, stored, quarantined, pending."""
    (folder / "s.jsonl").write_bytes(content)
    said = flush(connection, folder, rules=StoringRules(dry_run=True))
    assert (said.lines, said.stored, said.quarantined, said.pending) == expected
    result = flush(connection, folder)
    assert (result.lines, result.stored, result.quarantined, result.pending) == expected
    again = flush(connection, folder)
    assert (again.stored, again.quarantined, again.pending) == (0, 0, expected[3])


@pytest.mark.parametrize("limit", [journal_reader.LINE_LIMIT, 3_000], ids=["small", "over the limit of a line"])
def test_a_file_with_cr_line_ends_is_named_and_costs_no_other_journal(
    connection: Connection, database: Documents, folder: Path, monkeypatch: pytest.MonkeyPatch, limit: int
):
    monkeypatch.setattr(journal_reader, "LINE_LIMIT", limit)
    (folder / "a.jsonl").write_bytes(LINES.replace(b"\n", b"\r") * 20)
    write_journal(folder / "b.jsonl", [record(5)])
    with pytest.raises(ChatstoreError, match=r"a\.jsonl: its lines end with CR"):
        flush(connection, folder)
    assert texts(database) == ["message 5"]


ALTERED: list[tuple[bytes, dict[str, Any], str]] = [
    (as_line(record(1, text="@")).replace(b"@", rb"half \ud83d"), {"text": "half \ufffd"}, "characters that cannot"),
    (as_line(record(1, metadata={"n": "@"})).replace(b'"@"', b"NaN"), {"metadata": {"n": "nan"}}, "is not finite"),
    (as_line(record(1, metadata={"n": "@"})).replace(b'"@"', b"1e999"), {"metadata": {"n": "inf"}}, "is not finite"),
    (as_line(record(1, metadata={"n": 2**63})), {"metadata": {"n": str(2**63)}}, "beyond 64 bits"),
    (as_line(record(1, other=-(2**80))), {"other": str(-(2**80))}, "beyond 64 bits"),
    (as_line(record(1, other="@")).replace(b'"@"', b"9" * 5_000), {"other": "9" * 5_000}, "beyond 64 bits"),
    (as_line(record(1, created_at="2026-03-02T11:41:00.1234567Z")), {}, "more than six digits of a second"),
]


@pytest.mark.parametrize(("line", "expected", "change"), ALTERED, ids=[change for _, _, change in ALTERED])
def test_a_value_that_cannot_be_stored_does_not_cost_the_message(
    connection: Connection, database: Documents, folder: Path, line: bytes, expected: dict[str, Any], change: str
):
    (folder / "s.jsonl").write_bytes(as_line(record(0)) + line)
    said = flush(connection, folder, rules=StoringRules(dry_run=True))
    result = flush(connection, folder)
    for each in (said, result):
        assert (each.stored, each.quarantined, list(each.altered.values())) == (2, 0, [1])
        assert change in next(iter(each.altered))
    [row] = database[COLLECTION].find({"sequence": 2})
    assert {name: row[name] for name in expected} == expected
    forget(folder)
    assert flush(connection, folder).stored == 0


def test_text_that_looks_like_a_key_is_not_a_repeated_key(connection: Connection, database: Documents, folder: Path):
    texts_to_store = ['say "role": "user"', '"role":', '{"text": "x", "role": "y"}']
    write_journal(folder / "s.jsonl", [record(number, text=text) for number, text in enumerate(texts_to_store)])
    assert flush(connection, folder).stored == 3
    assert texts(database) == sorted(texts_to_store)


def test_utf_16_is_reported_and_costs_no_other_journal(connection: Connection, database: Documents, folder: Path):
    (folder / "a.jsonl").write_bytes(LINES.decode().encode("utf-16"))
    write_journal(folder / "b.jsonl", [record(5)])
    with pytest.raises(ChatstoreError, match=r"a\.jsonl: the file is UTF-16") as told:
        flush(connection, folder)
    assert told.value.hint is not None
    assert "1 message stored" in told.value.hint
    assert texts(database) == ["message 5"]


def test_a_compressed_journal_that_was_cut_off_gives_what_it_still_has(
    connection: Connection, database: Documents, folder: Path
):
    lines = [record(number, text=os.urandom(30).hex()) for number in range(2_000)]
    whole = gzip.compress(as_lines(lines))
    (folder / "a.jsonl.gz").write_bytes(whole[: len(whole) * 2 // 3])
    write_journal(folder / "b.jsonl", [record(5_000)])
    with pytest.raises(ChatstoreError, match=r"a\.jsonl\.gz: the compressed file is damaged or cut off"):
        flush(connection, folder)
    some = stored(database)
    assert some <= wanted_of([*lines, record(5_000)])
    assert 1_000 < sum(some.values()) < 2_000
    (folder / "a.jsonl.gz").write_bytes(whole)
    flush(connection, folder)
    assert stored(database) == wanted_of([*lines, record(5_000)])
    assert flush(connection, folder).lines == 0


def test_a_journal_in_several_places_is_stored_once(connection: Connection, database: Documents, folder: Path):
    """Rotated, compressed, copied into a subfolder: a message is stored as often as the journal with most of it has it."""
    lines = [record(0), record(0), record(1)]
    write_journal(folder / "s.jsonl.1", lines)
    write_journal(folder / "s.jsonl", [record(0), record(2)])
    write_journal(folder / "sub" / "copy.jsonl", lines)
    (folder / "s.jsonl.2.gz").write_bytes(gzip.compress(as_lines(lines)))
    result = flush(connection, folder, folder / "s.jsonl", folder / "sub")
    assert (result.files, result.lines, result.stored) == (4, 11, 4)
    assert stored(database) == wanted_of([*lines, record(2)])
    (folder / "s.jsonl.1").rename(folder / "s.jsonl.3")
    (folder / "s.jsonl").rename(folder / "s.jsonl.1")
    write_journal(folder / "s.jsonl", [record(3)])
    result = flush(connection, folder)
    assert (result.lines, result.stored) == (6, 1)


# --- the ledger ------------------------------------------------------------------------------------------------------


def test_with_its_ledger_no_line_is_read_again_and_what_is_appended_is(
    connection: Connection, database: Documents, folder: Path
):
    journal = write_journal(folder / "s.jsonl", [record(number) for number in range(10)])
    assert flush(connection, folder).lines == 10
    assert flush(connection, folder).lines == 0
    with journal.open("ab") as stream:
        stream.write(as_line(record(10)) + as_line(record(11))[:20])
    result = flush(connection, folder)
    assert (result.lines, result.stored, result.pending) == (1, 1, 1)
    with journal.open("ab") as stream:
        stream.write(as_line(record(11))[20:])
    assert flush(connection, folder).stored == 1
    assert stored(database) == wanted_of([record(number) for number in range(12)])


@pytest.mark.parametrize("change", ["replaced", "truncated", "rotated", "mended"])
def test_a_journal_that_is_another_by_now_is_read_from_its_start(
    connection: Connection, database: Documents, folder: Path, change: str
):
    lines = [record(number) for number in range(100)]
    journal = write_journal(folder / "s.jsonl", lines)
    flush(connection, folder)
    if change == "replaced":
        now = [record(number, session="s2") for number in range(300)]
        write_journal(folder / "new", now).replace(journal)
    elif change == "truncated":
        now = [record(number, session="s2") for number in range(3)]
        journal.write_bytes(as_lines(now))
    elif change == "rotated":
        journal.rename(folder / "s.jsonl.1")
        now = [record(number) for number in range(100, 400)]
        write_journal(journal, now)
    else:
        now = [*lines[:50], record(50, text="another"), *lines[51:]]
        write_journal(folder / "new", now).replace(journal)
    flush(connection, folder)
    assert stored(database) == wanted_of(lines) | wanted_of(now)


def test_a_collection_that_was_dropped_or_is_another_gets_everything(
    connection: Connection, database: Documents, folder: Path
):
    lines = [record(number) for number in range(10)]
    write_journal(folder / "s.jsonl", lines)
    flush(connection, folder)
    database.drop_collection(COLLECTION)
    assert flush(connection, folder).stored == 10
    other = store_of(connection, collection="other")
    assert flush(connection, folder, store=other).stored == 10
    assert flush(connection, folder, store=other).lines == 0
    assert flush(connection, folder).lines == 0
    assert stored(database, "other") == stored(database) == wanted_of(lines)


def test_a_damaged_ledger_costs_only_reading_again(connection: Connection, database: Documents, folder: Path):
    lines = [record(number) for number in range(10)]
    write_journal(folder / "s.jsonl", lines)
    flush(connection, folder)
    (folder / ".chatstore" / "ledger.sqlite3").write_bytes(os.urandom(5_000))
    result = flush(connection, folder)
    assert (result.lines, result.stored) == (10, 0)
    assert flush(connection, folder).lines == 0


def test_journals_that_nothing_can_be_written_beside_are_remembered_in_the_state_folder(
    connection: Connection, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    real = state._usable
    monkeypatch.setattr(state, "_usable", lambda place: place.name != state.BESIDE and real(place))
    (folder / "s.jsonl").write_bytes(as_line(record(0)) + b"bad\n")
    first = flush(connection, folder, state=tmp_path / "state")
    assert (first.stored, first.quarantined) == (1, 1)
    assert [file.name for file in folder.iterdir()] == ["s.jsonl"]
    assert [line.raw for line in quarantined(folder, state=tmp_path / "state")] == [b"bad"]
    assert flush(connection, folder, state=tmp_path / "state").lines == 0


def test_rows_that_were_removed_come_back_when_the_ledger_is_ignored(
    connection: Connection, database: Documents, folder: Path
):
    lines = [record(number) for number in range(100)]
    write_journal(folder / "s.jsonl", lines)
    flush(connection, folder)
    database[COLLECTION].delete_many({"sequence": {"$mod": [2, 0]}})
    dry = StoringRules(dry_run=True)
    assert flush(connection, folder, rules=dry).stored == flush(connection, folder).stored == 0
    assert flush(connection, folder, rules=dry, ignore_ledger=True).stored == 50
    assert flush(connection, folder, ignore_ledger=True).stored == 50
    assert stored(database) == wanted_of(lines)
    database[COLLECTION].delete_many({"sequence": 7})
    assert flush(connection, folder, session="s1").stored == 1


def test_a_dry_run_makes_no_collection_and_no_file(connection: Connection, database: Documents, folder: Path):
    (folder / "s.jsonl").write_bytes(LINES + b"bad\n")
    said = flush(connection, folder, rules=StoringRules(dry_run=True))
    assert (said.stored, said.quarantined) == (2, 1)
    assert database.list_collection_names() == []
    assert [file.name for file in folder.iterdir()] == ["s.jsonl"]


# --- whose rows they are ---------------------------------------------------------------------------------------------


def test_equal_rows_of_the_application_stand_for_as_many_lines(
    connection: Connection, database: Documents, folder: Path
):
    lines = [record(0), record(0), record(0), record(1)]
    database[COLLECTION].insert_many([record(0), record(0, created_at="2026-03-02 17:11:00.195769+05:30")])
    write_journal(folder / "s.jsonl", lines)
    assert flush(connection, folder).stored == 2
    keys = Counter((row["text"], row.get("sequence") is None) for row in database[COLLECTION].find())
    assert keys == {("message 0", True): 2, ("message 0", False): 1, ("message 1", False): 1}


def test_rows_of_other_writers_that_are_no_messages_are_left_alone(
    connection: Connection, database: Documents, folder: Path
):
    odd: list[dict[str, Any]] = [
        {"session_id": "s1"},
        {"session_id": "s1", "role": None, "text": 5, "created_at": "x"},
        {**record(0), "created_at": None},
        {**record(0), "created_at": "noon"},
        {**record(0), "text": ["message 0"]},
        {**record(0), "role": "user\0" + instant(0)},
    ]
    database[COLLECTION].insert_many([dict(row) for row in odd])
    write_journal(folder / "s.jsonl", [record(0)])
    assert flush(connection, folder).stored == 1
    assert database[COLLECTION].count_documents({}) == len(odd) + 1


# --- when they expire ------------------------------------------------------------------------------------------------

NOW = datetime(2026, 3, 20, 12, 0, 0, tzinfo=UTC)


def test_messages_expire_that_many_days_after_they_were_stored(
    connection: Connection, database: Documents, folder: Path
):
    write_journal(folder / "s.jsonl", [record(0)])
    flush(connection, folder, rules=StoringRules(ttl_days=30), server_now=lambda: NOW)
    [row] = database[COLLECTION].find()
    assert row["expires_at"] == NOW + timedelta(days=30)
    assert database[COLLECTION].index_information()["expires_at_idx"]["expireAfterSeconds"] == 0


def test_with_ttl_days_0_they_never_expire_and_there_is_no_such_index(
    connection: Connection, database: Documents, folder: Path
):
    write_journal(folder / "s.jsonl", [record(0)])
    flush(connection, folder, rules=StoringRules(ttl_days=0), server_now=lambda: NOW)
    [row] = database[COLLECTION].find()
    assert "expires_at" not in row
    assert not [
        name for name, index in database[COLLECTION].index_information().items() if "expireAfterSeconds" in index
    ]


def test_counted_from_their_own_time_some_have_expired_already(
    connection: Connection, database: Documents, folder: Path
):
    lines = [record(0), record(1, created_at=(NOW - timedelta(days=1)).isoformat())]
    lines.append(record(2, created_at="9999-12-30T00:00:00Z"))
    write_journal(folder / "s.jsonl", lines)
    rules = StoringRules(ttl_days=7, ttl_from_created=True)
    said = flush(connection, folder, rules=StoringRules(7, ttl_from_created=True, dry_run=True), server_now=lambda: NOW)
    assert (said.stored, said.expired, said.skipped) == (3, 1, 0)
    skipping = StoringRules(7, ttl_from_created=True, skip_expired=True)
    result = flush(connection, folder, rules=skipping, server_now=lambda: NOW)
    assert (result.stored, result.expired, result.skipped) == (2, 1, 1)
    assert database[COLLECTION].find_one({"text": "message 1"})["expires_at"] == NOW + timedelta(days=6)
    assert "expires_at" not in database[COLLECTION].find_one({"text": "message 2"})
    result = flush(connection, folder, rules=rules, server_now=lambda: NOW, ignore_ledger=True)
    assert (result.stored, result.expired) == (1, 1)
    assert stored(database) == wanted_of(lines)


def test_a_collection_that_was_there_gets_no_ttl_index_behind_its_back(
    connection: Connection, database: Documents, folder: Path
):
    database[COLLECTION].insert_one({**record(5), "expires_at": NOW - timedelta(days=500)})
    write_journal(folder / "s.jsonl", [record(0)])
    flush(connection, folder)
    assert sorted(database[COLLECTION].index_information()) == ["_id_", "session_ts_idx"]
    assert database[COLLECTION].count_documents({}) == 2
    assert key_of_record(record(5)) in stored(database)
