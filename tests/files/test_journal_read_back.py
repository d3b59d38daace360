"""Reading a range of a journal back, whatever happened to the file meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chatstore_cli.domain.recording import JournalRange, RecoveredLines
from chatstore_cli.files import journal_read_back
from chatstore_cli.files.journal_read_back import newest, read_back
from tests.support.journals import as_line, as_lines, record
from tests.support.open_files import open_files


def range_of(path: Path, lines: list[bytes], first: int, last: int) -> JournalRange:
    """The lines from `first` on, before `last`, counted from 0."""
    start = sum(map(len, lines[:first]))
    end = sum(map(len, lines[:last]))
    return JournalRange(str(path), path.stat().st_ino, start, end, first + 1, last - first, 0, 1 << 60)


def read_all(unread: JournalRange | None, lines: int = 100, about: int = 1 << 20) -> tuple[list[dict[str, Any]], int]:
    """The records of a unread, and in how many readings."""
    found: list[dict[str, Any]] = []
    readings = 0
    while unread is not None:
        read = read_back(unread, lines, about)
        readings += 1
        assert read is not None
        assert len(read.lines) <= lines
        found += [fields for _, fields in read.lines]
        assert read.remaining is None or read.remaining.start > unread.start, "it must come to an end"
        unread = read.remaining
    return found, readings


@pytest.fixture
def journal(tmp_path: Path) -> tuple[Path, list[bytes], list[dict[str, Any]]]:
    records = [record(number, text=f"é☕\0 {number} " + "x" * (number * 37 % 500)) for number in range(300)]
    lines = [as_line(fields) for fields in records]
    path = tmp_path / "s1.jsonl"
    path.write_bytes(b"".join(lines))
    return path, lines, records


Journal = tuple[Path, list[bytes], list[dict[str, Any]]]


@pytest.mark.parametrize("lines", [1, 7, 1_000])
@pytest.mark.parametrize("about", [1, 5_000, 1 << 30])
def test_a_stretch_is_read_line_by_line_to_its_end(journal: Journal, lines: int, about: int) -> None:
    path, raw, records = journal
    assert read_all(range_of(path, raw, 10, 250), lines, about)[0] == records[10:250]


def test_each_line_comes_with_its_place(journal: Journal) -> None:
    path, raw, _ = journal
    unread = range_of(path, raw, 10, 250)
    content = path.read_bytes()
    read = read_back(unread, 5, 1)
    assert read is not None
    for number, (place, fields) in enumerate(read.lines, 11):
        assert (place.source, place.inode, place.number) == (str(path), path.stat().st_ino, number)
        assert content[place.offset : place.offset + place.length] + b"\n" == as_line(fields)
    assert read.remaining is not None
    assert (read.remaining.number, read.remaining.end, read.remaining.messages) == (16, unread.end, unread.messages)


def test_a_long_line_is_read_although_only_little_is_asked_for(tmp_path: Path) -> None:
    records = [record(0, text="x" * 3_000_000), record(1), record(2, text="y" * 200_000)]
    raw = [as_line(fields) for fields in records]
    path = tmp_path / "s1.jsonl"
    path.write_bytes(b"".join(raw))
    assert read_all(range_of(path, raw, 0, 3), 1, 1)[0] == records


def test_damaged_lines_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "s1.jsonl"
    raw = [as_line(record(0)), b"\xff\n", b"\n", b'{"torn": \n', b"[1]\n", b"7\n", as_line(record(1))]
    path.write_bytes(b"".join(raw))
    found, _ = read_all(range_of(path, raw, 0, 7), 2)
    assert found == [record(0), record(1)]


@pytest.mark.parametrize("name", ["s1.jsonl.1", "s1.jsonl.2026-03-02", "s1.jsonl-20260302", "s1.jsonl.old"])
def test_a_journal_that_was_rotated_is_found_beside_its_place(journal: Journal, name: str) -> None:
    path, raw, records = journal
    unread = range_of(path, raw, 10, 250)
    path.rename(path.with_name(name))
    path.write_bytes(as_lines([record(999)]))
    assert read_all(unread)[0] == records[10:250]


def test_the_journal_of_another_session_is_not_taken_for_a_rotated_one(journal: Journal) -> None:
    path, raw, _ = journal
    unread = range_of(path, raw, 10, 250)
    path.rename(path.with_name("s10.jsonl"))
    assert read_back(unread, 10, 1_000) is None


def test_a_journal_that_is_gone_or_replaced_gives_none(journal: Journal) -> None:
    path, raw, _ = journal
    unread = range_of(path, raw, 10, 250)
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.replace(path)
    assert read_back(unread, 10, 1_000) is None
    path.unlink()
    assert read_back(unread, 10, 1_000) is None
    path.parent.rmdir()
    assert read_back(unread, 10, 1_000) is None


def test_of_a_journal_that_was_cut_the_rest_is_read(journal: Journal) -> None:
    path, raw, records = journal
    unread = range_of(path, raw, 10, 250)
    os.truncate(path, sum(map(len, raw[:100])) + 5)
    assert read_all(unread, 7)[0] == records[10:100]
    os.truncate(path, unread.start)
    assert read_back(unread, 10, 1_000) == RecoveredLines([], None)
    os.truncate(path, 0)
    assert read_back(unread, 10, 1_000) == RecoveredLines([], None)


@pytest.mark.parametrize("left", [0, 3, 200])
def test_a_journal_that_is_cut_at_this_very_moment_does_not_hold_it_up(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    path, raw, _ = journal
    unread = range_of(path, raw, 10, 250)
    pread = os.pread

    def cut_first(descriptor: int, length: int, offset: int) -> bytes:
        os.truncate(path, unread.start + left)
        return pread(descriptor, length, offset)

    monkeypatch.setattr(journal_read_back.os, "pread", cut_first)
    found, readings = read_all(unread, 10, 1)
    assert len(found) <= 2
    assert readings <= 5


def test_a_journal_that_cannot_be_read_raises(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    path, raw, _ = journal

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(journal_read_back.os, "open", refuse)
    with pytest.raises(PermissionError):
        read_back(range_of(path, raw, 10, 250), 10, 1_000)


def test_nothing_is_left_open(journal: Journal) -> None:
    path, raw, _ = journal
    unread = range_of(path, raw, 10, 250)
    for name in ("s1.jsonl.1", "s1.jsonl.2"):
        path.with_name(name).write_bytes(b"x")
    read_all(unread, 1)
    path.unlink()
    assert read_back(unread, 1, 1) is None
    assert open_files(path.parent) == []


# --- the newest lines ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 75, 299, 300, 1_000])
def test_the_newest_lines_come_oldest_first(journal: Journal, count: int) -> None:
    path, _, records = journal
    found = newest(path, count)
    assert [fields for _, fields in found] == records[-count:]
    numbers = [number for number, _ in found]
    assert numbers == sorted(set(numbers))


def test_the_newest_lines_of_a_short_journal_have_their_numbers(journal: Journal) -> None:
    path, raw, _ = journal
    path.write_bytes(b"".join(raw[:5]))
    assert [number for number, _ in newest(path, 3)] == [3, 4, 5]


def test_only_the_end_of_a_long_journal_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s1.jsonl"
    with path.open("wb") as stream:
        for number in range(40_000):
            stream.write(as_line(record(number)))
    status = Path("/proc/self/io")
    before = read_bytes(status)
    assert newest(path, 75)[-1][1] == record(39_999)
    assert read_bytes(status) - before < 200_000
    assert path.stat().st_size > 5_000_000


def read_bytes(status: Path) -> int:
    return int(status.read_text().splitlines()[0].split()[1])


def test_very_long_lines_come_whole(tmp_path: Path) -> None:
    path = tmp_path / "s1.jsonl"
    records = [record(0, text="x" * 5_000_000), record(1, text="y" * 100), record(2, text="\x01" * 500_000)]
    path.write_bytes(as_lines(records))
    assert [fields for _, fields in newest(path, 2)] == records[1:]
    assert [fields for _, fields in newest(path, 9)] == records


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"", []),
        (b"\n", []),
        (b"torn", []),
        (as_line(record(0))[:-1], [record(0)]),
        (as_line(record(0)) + b'{"torn', [record(0)]),
        (as_line(record(0)) + b"\xff\n", [record(0)]),
        (as_lines([record(0), record(1)]) + b"\n", [record(1)]),
    ],
)
def test_a_torn_or_damaged_end_is_passed_over(tmp_path: Path, content: bytes, wanted: list[dict[str, Any]]) -> None:
    path = tmp_path / "s1.jsonl"
    path.write_bytes(content)
    assert [fields for _, fields in newest(path, 1)] == wanted


def test_where_there_is_no_journal_there_is_nothing(tmp_path: Path) -> None:
    assert newest(tmp_path / "none.jsonl", 5) == []
    (tmp_path / "folder.jsonl").mkdir()
    assert newest(tmp_path / "folder.jsonl", 5) == []


def test_a_hole_of_any_size_is_not_held_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a crash leaves it on some file systems."""
    monkeypatch.setattr(journal_read_back, "LINE_LIMIT", 1 << 20)
    path = tmp_path / "s1.jsonl"
    with path.open("wb") as stream:
        stream.write(as_line(record(0)))
        stream.seek(200 << 20, os.SEEK_CUR)
        stream.write(b"\n" + as_line(record(1)))
    before = read_bytes(Path("/proc/self/io"))
    assert [fields for _, fields in newest(path, 75)] == [record(1)]
    assert read_bytes(Path("/proc/self/io")) - before < 5 << 20


def test_reading_ends_at_whole_lines_whatever_the_writer_is_doing(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The unread ends where a whole line did, however far the file has grown since."""
    path, raw, records = journal
    unread = range_of(path, raw, 0, 300)
    with path.open("ab") as other:
        other.write(b'{"half of the next')
    counted: Callable[[JournalRange], int] = lambda at: len(read_all(at, 10)[0])  # noqa: E731 - named for what it gives
    assert counted(unread) == len(records)
