"""Reading the newest messages of a session's journals from the end, whatever happens to the journals meanwhile."""

from __future__ import annotations

import gzip
import os
import threading
import tracemalloc
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from chatstore_cli.domain.errors import BadValue, ChatstoreError
from chatstore_cli.domain.history import JournalTail
from chatstore_cli.files import journal_tail
from chatstore_cli.files.journal_tail import read_tail
from chatstore_cli.files.session_names import journal_path
from tests.support.in_memory import connection_in_memory
from tests.support.journals import COLLECTION, as_line, as_lines, flush, instant, record, write_journal

SESSION = "s1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "journals").mkdir()
    return tmp_path / "journals"


def numbered(tail: JournalTail) -> list[tuple[int | None, Any]]:
    return [(message.sequence, message.content) for journal in tail.journals for message in journal]


def texts(tail: JournalTail) -> list[Any]:
    return [text for _, text in numbered(tail)]


def messages(numbers: Iterable[int]) -> list[str]:
    return [f"message {number}" for number in numbers]


# --- the same lines, and the same numbers, as a flush finds from the beginning ---------------------------------------

stretches = st.one_of(
    st.integers(0, 40).map(lambda number: as_line(record(number))),
    st.integers(0, 40).map(lambda number: as_line(record(number, message_id=f"m{number}"))),
    st.integers(0, 40).map(lambda number: as_line(record(number))[:-1]),  # the next one is fused to it
    st.integers(0, 40).map(lambda number: as_line(record(number))[:30] + b"\n"),  # torn
    st.integers(0, 40).map(lambda number: as_line(record(number, session="other"))),
    st.integers(0, 40).map(lambda number: as_line(record(number, role="wizard"))),
    st.integers(0, 40).map(lambda number: as_line(record(number, text="x" * 300))),
    st.sampled_from([b"\n", b"  \n", b"null\n", b"[1]\n", b"\0\0\0", b"{}\n", b"\xff\xfe\n", b"\r\n", b'{"a": ']),
)
journals = st.tuples(st.sampled_from([b"", b"\xef\xbb\xbf"]), st.lists(stretches, max_size=14)).map(
    lambda parts: b"".join([parts[0], *parts[1]])
)


def flushed(folder: Path) -> list[tuple[int, str]]:
    """The number and the text of each of the session's messages, as a flush reads them."""
    connection = connection_in_memory()
    flush(connection, folder)
    rows = connection.database[COLLECTION].find({"session_id": SESSION})
    return sorted((row["sequence"], row["text"]) for row in rows)


@given(journals, st.sampled_from([1, 7, 64, 1024]))
def test_lines_and_numbers_are_those_of_a_flush_wherever_blocks_end(journal: bytes, block: int):
    assume(not journal.startswith(b"\xff\xfe"))  # which a flush takes for UTF-16
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal_tail, "BLOCK", block)
        (Path(name) / f"{SESSION}.jsonl").write_bytes(journal)
        tail = read_tail(Path(name), SESSION, 500)
        once: dict[Any, tuple[int | None, Any]] = {}
        for message in (message for found in tail.journals for message in found):
            once.setdefault(message.message_id or message.sequence, (message.sequence, message.content))
        assert list(once.values()) == flushed(Path(name))
        assert tail.complete


@given(st.lists(st.integers(0, 60), max_size=60), st.integers(1, 20), st.integers(0, 9), st.integers(1, 300))
def test_the_newest_are_found_also_where_lines_stand_a_little_out_of_order(
    seconds: list[int], limit: int, jitter: int, block: int
):
    lines = [record(n, text=f"{n}", created_at=instant(second)) for n, second in enumerate(sorted(seconds))]
    for place in range(0, len(lines) - 1, 2 + jitter):
        earlier, later = lines[place], lines[place + 1]
        if abs(sorted(seconds)[place + 1] - sorted(seconds)[place]) <= journal_tail.DISORDER.seconds:
            lines[place], lines[place + 1] = later, earlier
    wanted = sorted(lines, key=lambda line: line["created_at"], reverse=True)[:limit]
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal_tail, "BLOCK", block)
        write_journal(Path(name) / f"{SESSION}.jsonl", lines)
        tail = read_tail(Path(name), SESSION, limit)
    oldest = min((line["created_at"] for line in wanted), default="")
    needed = {line["text"] for line in lines if line["created_at"] >= oldest}
    assert needed <= set(texts(tail))
    assert texts(tail) == [line["text"] for line in lines][len(lines) - len(texts(tail)) :]


# --- only the end ----------------------------------------------------------------------------------------------------


def test_of_a_long_journal_only_the_end_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch):
    write_journal(folder / "s1.jsonl", (record(number) for number in range(20_000)))
    read: list[int] = []

    def counting(descriptor: int, length: int, offset: int) -> bytes:
        read.append(length)
        return real(descriptor, length, offset)

    real = os.pread
    monkeypatch.setattr(os, "pread", counting)
    tail = read_tail(folder, SESSION, 50)
    assert texts(tail)[-50:] == messages(range(19_950, 20_000))
    assert sum(read) < journal_tail.BLOCK + 10
    assert not tail.complete
    assert tail.messages < 100


def test_a_number_is_known_only_where_the_beginning_was_read(folder: Path):
    write_journal(folder / "s1.jsonl", (record(number) for number in range(3_000)))
    assert {number for number, _ in numbered(read_tail(folder, SESSION, 5))} == {None}
    assert [number for number, _ in numbered(read_tail(folder, SESSION, 500_000))] == list(range(1, 3_001))


def test_all_lines_of_the_oldest_instant_are_there(folder: Path):
    lines = [record(n, text=f"{n}", created_at=instant(0)) for n in range(40)]
    write_journal(folder / "s1.jsonl", [record(0, created_at=instant(-60), text="before"), *lines, record(60)])
    assert texts(read_tail(folder, SESSION, 3)) == [*map(str, range(40)), "message 60"]


def test_lines_of_sixteen_mebibytes_are_read(folder: Path):
    write_journal(folder / "s1.jsonl", [record(n, text=f"{n}" + "é" * (8 * 1024 * 1024)) for n in range(3)])
    assert [text[0] for text in texts(read_tail(folder, SESSION, 2))] == ["0", "1", "2"]


def test_a_line_too_long_for_any_document_is_passed_over_and_never_held(folder: Path):
    write_journal(folder / "s1.jsonl", [record(1)])
    with (folder / "s1.jsonl").open("r+b") as stream:
        stream.seek(journal_tail.LINE_LIMIT + 1_000_000)
        stream.write(b"\n" + as_line(record(2)))
    tail = read_tail(folder, SESSION, 50)
    assert numbered(tail) == [(1, "message 1"), (3, "message 2")]
    assert tail.damaged == 1


def test_of_a_line_too_long_only_a_bounded_part_is_ever_in_memory(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(journal_tail, "LINE_LIMIT", 1024 * 1024)
    with (folder / "s1.jsonl").open("wb") as stream:
        stream.seek(64 * 1024 * 1024)
        stream.write(b"\n" + as_line(record(2)))
    tracemalloc.start()
    assert numbered(read_tail(folder, SESSION, 50)) == [(2, "message 2")]
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 8 * 1024 * 1024


# --- rotated, compressed and unescaped files -------------------------------------------------------------------------


def test_rotated_and_compressed_files_are_read_as_far_as_needed_the_newest_first(folder: Path):
    (folder / "s1.jsonl.2.gz").write_bytes(gzip.compress(as_lines(record(n) for n in range(100))))
    write_journal(folder / "s1.jsonl.1", (record(n) for n in range(100, 200)))
    write_journal(folder / "s1.jsonl", (record(n) for n in range(200, 230)))
    assert texts(read_tail(folder, SESSION, 50))[-50:] == messages(range(180, 230))
    assert [len(journal) for journal in read_tail(folder, SESSION, 150).journals] == [30, 100, 30]
    whole = read_tail(folder, SESSION, 500)
    assert texts(whole) == messages(range(230))
    assert whole.complete


def test_a_compressed_file_that_is_not_needed_is_not_opened_up(folder: Path):
    (folder / "s1.jsonl.1.gz").write_bytes(b"this is no gzip")
    write_journal(folder / "s1.jsonl", (record(n) for n in range(100)))
    tail = read_tail(folder, SESSION, 50)
    assert (tail.damaged, tail.complete) == (0, False)


@pytest.mark.parametrize("left", [40, -20])
def test_of_a_compressed_file_that_is_cut_off_the_rest_is_read(folder: Path, left: int):
    packed = gzip.compress(b"".join(as_line(record(n, text=f"{n}" + os.urandom(40).hex())) for n in range(2_000)))
    (folder / "s1.jsonl.1.gz").write_bytes(packed[:left])
    write_journal(folder / "s1.jsonl", [record(3_000)])
    tail = read_tail(folder, SESSION, 500_000)
    assert tail.damaged >= 1
    assert texts(tail)[-1] == "message 3000"
    assert (tail.messages > 1_900) == (left < 0)


def test_lines_that_a_rotation_has_copied_do_not_count_twice(folder: Path):
    lines = [record(n) for n in range(40)]
    write_journal(folder / "s1.jsonl.2", [record(n) for n in range(-100, 0)])
    write_journal(folder / "s1.jsonl.1", lines)
    write_journal(folder / "s1.jsonl", lines)
    assert len(set(texts(read_tail(folder, SESSION, 60)))) >= 60


def test_a_file_of_an_application_that_does_not_escape_ids_is_read_beside_ours(folder: Path):
    write_journal(folder / "Chat.jsonl", (record(n, session="Chat") for n in range(100)))
    write_journal(folder / "%43hat.jsonl", (record(n, session="Chat", text=f"ours {n}") for n in range(0, 100, 10)))
    found = texts(read_tail(folder, "Chat", 20))
    assert set(messages(range(80, 100))) <= set(found)
    assert {f"ours {n}" for n in range(0, 100, 10)} <= set(found)


@pytest.mark.parametrize("session", ["..", "../../x", "/etc/passwd", "UPPER", "é" * 450, "a.jsonl", ".chatstore"])
def test_an_id_that_is_no_file_name_has_its_journal(folder: Path, session: str):
    write_journal(journal_path(folder, session), [record(1, session=session)])
    assert texts(read_tail(folder, session, 50)) == ["message 1"]


def test_lines_of_other_sessions_are_passed_over_and_counted(folder: Path):
    write_journal(folder / "s1.jsonl", [record(1), record(2, session="s2"), record(3), record(4, session="s2")])
    tail = read_tail(folder, SESSION, 50)
    assert numbered(tail) == [(1, "message 1"), (3, "message 3")]
    assert tail.of_others == 2


# --- while others are at it ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beginning", [as_line(record(2))[:-20], b'{"session_id', b"12", b'"text"', b" "])
def test_a_line_that_is_being_written_is_left_out_and_is_no_damage(folder: Path, beginning: bytes):
    journal = write_journal(folder / "s1.jsonl", [record(1)])
    with journal.open("ab") as stream:
        stream.write(beginning)
    tail = read_tail(folder, SESSION, 50)
    assert (texts(tail), tail.damaged) == (["message 1"], 0)


def test_a_last_line_that_lacks_only_its_line_feed_is_whole(folder: Path):
    (folder / "s1.jsonl").write_bytes(as_lines([record(1), record(2)])[:-1])
    assert numbered(read_tail(folder, SESSION, 50)) == [(1, "message 1"), (2, "message 2")]


def _after_listing(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]) -> None:
    """Call a function right after the journals were listed for the first time."""
    real = journal_tail.journals_of
    happened: list[bool] = []

    def listed(folder: Path, session_id: str) -> list[Path]:
        found = real(folder, session_id)
        if not happened:
            happened.append(True)
            happens()
        return found

    monkeypatch.setattr(journal_tail, "journals_of", listed)


def test_what_was_rotated_between_listing_and_opening_is_not_missed(folder: Path, monkeypatch: pytest.MonkeyPatch):
    journal = write_journal(folder / "s1.jsonl", [record(1), record(2)])

    def rotate() -> None:
        journal.rename(folder / "s1.jsonl.1")
        write_journal(journal, [record(3)])

    _after_listing(monkeypatch, rotate)
    assert texts(read_tail(folder, SESSION, 50)) == messages([1, 2, 3])


def test_what_was_removed_between_listing_and_opening_is_gone(folder: Path, monkeypatch: pytest.MonkeyPatch):
    journal = write_journal(folder / "s1.jsonl", [record(1)])
    _after_listing(monkeypatch, journal.unlink)
    assert texts(read_tail(folder, SESSION, 50)) == []


def test_a_file_that_is_cut_while_it_is_read_is_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch):
    journal = write_journal(folder / "s1.jsonl", (record(n) for n in range(100)))
    real, calls = os.pread, []

    def cutting(descriptor: int, length: int, offset: int) -> bytes:
        calls.append(offset)
        if len(calls) == 4:
            write_journal(journal, [record(1_000)])
        return real(descriptor, length, offset)

    monkeypatch.setattr(journal_tail, "BLOCK", 1_000)
    monkeypatch.setattr(os, "pread", cutting)
    assert texts(read_tail(folder, SESSION, 50)) == ["message 1000"]


def test_a_file_that_is_replaced_all_the_time_ends_in_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch):
    write_journal(folder / "s1.jsonl", [record(1)])
    monkeypatch.setattr(journal_tail, "_identities", lambda *_: [])
    with pytest.raises(ChatstoreError, match="were replaced in each of 5 attempts to read them"):
        read_tail(folder, SESSION, 50)


def test_while_lines_are_appended_and_files_rotated_each_reading_is_a_run_of_whole_lines(folder: Path):
    journal = write_journal(folder / "s1.jsonl", [record(0)])
    stop = threading.Event()

    def write() -> None:
        number = 1
        while not stop.is_set():
            line = as_line(record(number, created_at=instant(0)))
            with journal.open("ab", buffering=0) as stream:
                stream.write(line[:50])
                stream.write(line[50:])
            number += 1
            if number % 100 == 0:
                journal.rename(folder / "s1.jsonl.1")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(100):
            tail = read_tail(folder, SESSION, 500)
            found = [int(text.split()[1]) for text in texts(tail)]
            assert found == list(range(found[0], found[0] + len(found)) if found else [])
            assert tail.damaged == 0
    finally:
        stop.set()
        writer.join()


# --- what cannot be read ---------------------------------------------------------------------------------------------


def test_a_folder_that_is_not_there_has_no_lines(tmp_path: Path):
    tail = read_tail(tmp_path / "nowhere", SESSION, 50)
    assert (tail.journals, tail.complete) == ([], True)


def test_a_file_that_cannot_be_opened_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch):
    journal = write_journal(folder / "s1.jsonl", [record(1)])

    def refuse(*_: Any) -> int:
        raise PermissionError(13, "Permission denied", str(journal))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(ChatstoreError, match=r"s1\.jsonl: Permission denied"):
        read_tail(folder, SESSION, 50)


def test_an_id_that_can_have_no_journal_is_refused(folder: Path):
    with pytest.raises(BadValue):
        read_tail(folder, "x" * 1_001, 50)
