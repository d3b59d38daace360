"""Writing journals: complete lines only, into the file that the path names, from several threads and processes."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chatstore_cli.domain.errors import BadValue, ChatstoreError, NotRecorded
from chatstore_cli.domain.recording import LineLocation
from chatstore_cli.files import journal_writer, sync_thread
from chatstore_cli.files.journal_writer import JournalWriter
from chatstore_cli.files.memory_journal import MemoryJournal
from chatstore_cli.files.session_names import journal_path
from tests.support.manual_event import ManualEvent
from tests.support.mongod import poll
from tests.support.open_files import open_files
from tests.support.paths import ROOT
from tests.support.started_together import run_together


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journals"


@pytest.fixture
def writers(folder: Path) -> Iterator[Callable[..., JournalWriter]]:
    made: list[JournalWriter] = []

    def make(fsync: str = "never") -> JournalWriter:
        made.append(JournalWriter(folder, fsync))
        return made[-1]

    yield make
    for writer in made:
        with contextlib.suppress(ChatstoreError):
            writer.close()


# --- one line after the other ----------------------------------------------------------------------------------------


def test_each_line_stands_where_it_is_said_to(writers: Callable[..., JournalWriter], folder: Path) -> None:
    writer = writers()
    lines = [b"x" * length for length in (1, 0, 5_000, 70_000, 2)]
    places = [writer.append("s1", line) for line in lines]
    content = (folder / "s1.jsonl").read_bytes()
    assert content == b"".join(line + b"\n" for line in lines)
    for number, (line, place) in enumerate(zip(lines, places, strict=True), 1):
        assert place.number == number
        assert content[place.offset : place.offset + place.length] == line
        assert place.source == str(folder / "s1.jsonl")
        assert place.inode == (folder / "s1.jsonl").stat().st_ino


def test_a_journal_is_private_and_so_is_its_folder(writers: Callable[..., JournalWriter], folder: Path) -> None:
    writers().append("a" * 500, b"x")
    journal = journal_path(folder, "a" * 500)
    assert journal.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert journal.parent.stat().st_mode & 0o777 == 0o700


def test_a_write_that_comes_in_pieces_is_whole_in_the_end(
    writers: Callable[..., JournalWriter], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(journal_writer.os, "write", lambda descriptor, data: write(descriptor, data[:3]))
    writers().append("s1", b"0123456789")
    assert (folder / "s1.jsonl").read_bytes() == b"0123456789\n"


def test_what_a_crash_left_of_a_line_is_closed_off(writers: Callable[..., JournalWriter], folder: Path) -> None:
    folder.mkdir()
    (folder / "s1.jsonl").write_bytes(b'{"whole": 1}\n{"torn": ')
    place = writers().append("s1", b"next")
    content = (folder / "s1.jsonl").read_bytes()
    assert content == b'{"whole": 1}\n{"torn": \nnext\n'
    assert (place.number, content[place.offset : place.offset + place.length]) == (3, b"next")
    assert writers().append("s1", b"last").number == 4


def test_a_tail_that_another_process_tears_meanwhile_is_closed_off_too(
    writers: Callable[..., JournalWriter], folder: Path
) -> None:
    writer = writers()
    writer.append("s1", b"first")
    with (folder / "s1.jsonl").open("ab") as other:
        other.write(b"whole\n" * 3 + b"torn")
    place = writer.append("s1", b"next")
    assert (folder / "s1.jsonl").read_bytes() == b"first\nwhole\nwhole\nwhole\ntorn\nnext\n"
    assert place.number == 6
    assert writer.append("s1", b"last") == LineLocation(place.source, place.inode, 7, place.offset + 5, 4)


def test_what_others_wrote_is_counted_however_much_it_is(writers: Callable[..., JournalWriter], folder: Path) -> None:
    writer = writers()
    writer.append("s1", b"first")
    with (folder / "s1.jsonl").open("ab") as other:
        other.write((b"x" * 99 + b"\n") * 30_000)
    assert writer.append("s1", b"next").number == 30_002


def test_a_session_that_was_closed_for_others_goes_on_with_its_numbers_without_counting_again(
    writers: Callable[..., JournalWriter], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_writer, "OPEN_FILES", 1)
    writer = writers()
    read: list[int] = []
    pread = os.pread

    def counting(descriptor: int, length: int, offset: int) -> bytes:
        read.append(length)
        return pread(descriptor, length, offset)

    monkeypatch.setattr(journal_writer.os, "pread", counting)
    sessions = [f"s{number}" for number in range(200)]
    for round_ in range(1, 4):
        for session in sessions:
            assert writer.append(session, b"x" * 1_000).number == round_
    assert sum(read) == 0
    assert len(open_files(folder)) <= journal_writer.STRIPES


def test_few_files_are_open_at_a_time_however_many_sessions_there_are(
    writers: Callable[..., JournalWriter], folder: Path
) -> None:
    writer = writers()
    for number in range(1_500):
        writer.append(f"s{number}", b"x")
    assert len(open_files(folder)) <= journal_writer.STRIPES * journal_writer.OPEN_FILES <= 1_024
    writer.close()
    assert open_files(folder) == []
    assert writer.append("s7", b"x").number == 2, "writing on opens the file again"


def test_an_id_that_can_have_no_file_is_refused(writers: Callable[..., JournalWriter], folder: Path) -> None:
    for session in ("", "x" * 1_001, "\ud800"):
        with pytest.raises(BadValue, match=r"^session_id: "):
            writers().append(session, b"x")
    assert not list(folder.rglob("*.jsonl")) if folder.exists() else True


@pytest.mark.parametrize("session", ["..", ".", "/etc/passwd", "a/../../b", "\0", "CON", "A", "%41", "~", "x" * 1_000])
def test_any_other_id_has_a_file_inside_the_folder(
    writers: Callable[..., JournalWriter], folder: Path, session: str
) -> None:
    writer = writers()
    writer.append(session, b"x")
    [journal] = folder.rglob("*.jsonl")
    assert journal.resolve().is_relative_to(folder.resolve())
    assert list(writer.sessions()) == [session]


# --- what befalls a journal ------------------------------------------------------------------------------------------


def cut(path: Path) -> None:
    os.truncate(path, 0)


def remove(path: Path) -> None:
    path.unlink()


def remove_with_its_folder(path: Path) -> None:
    path.unlink()
    path.parent.rmdir()


def rotate(path: Path) -> None:
    path.rename(f"{path}.1")


def copy_and_cut(path: Path) -> None:
    Path(f"{path}.1").write_bytes(path.read_bytes())
    os.truncate(path, 0)


@pytest.mark.parametrize("damage", [cut, remove, remove_with_its_folder, rotate, copy_and_cut])
def test_what_comes_after_is_in_the_file_that_the_path_names(
    writers: Callable[..., JournalWriter], folder: Path, damage: Callable[[Path], None]
) -> None:
    writer = writers()
    for number in range(5):
        writer.append("s1", b"before %d" % number)
    damage(folder / "s1.jsonl")
    places = [writer.append("s1", b"after %d" % number) for number in range(3)]
    content = (folder / "s1.jsonl").read_bytes()
    assert content == b"after 0\nafter 1\nafter 2\n"
    assert [(place.number, place.offset) for place in places] == [(1, 0), (2, 8), (3, 16)]
    assert {place.inode for place in places} == {(folder / "s1.jsonl").stat().st_ino}


def test_a_journal_that_another_file_took_the_place_of_is_left_alone(
    writers: Callable[..., JournalWriter], folder: Path
) -> None:
    writer = writers()
    writer.append("s1", b"before")
    (folder / "new").write_bytes(b"one\ntwo\ntor")
    (folder / "s1.jsonl").rename(folder / "old")
    (folder / "new").rename(folder / "s1.jsonl")
    place = writer.append("s1", b"after")
    assert (folder / "old").read_bytes() == b"before\n"
    assert (folder / "s1.jsonl").read_bytes() == b"one\ntwo\ntor\nafter\n"
    assert place.number == 4


def test_a_journal_that_was_replaced_while_it_was_closed_is_counted_anew(
    writers: Callable[..., JournalWriter], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_writer, "OPEN_FILES", 1)
    monkeypatch.setattr(journal_writer, "STRIPES", 1)
    writer = writers()
    for _ in range(5):
        writer.append("s1", b"before")
    writer.append("s2", b"another")
    (folder / "new").write_bytes(b"kept\n" * 20)
    (folder / "new").replace(folder / "s1.jsonl")
    assert writer.append("s1", b"after").number == 21


def waiting_for(path: Path) -> int:
    """How many wait for the lock of a file."""
    inode = f":{path.stat().st_ino} "
    return sum("->" in line and inode in line for line in Path("/proc/locks").read_text().splitlines())


@pytest.mark.parametrize("what", ["unlink", "replace"])
def test_recorders_that_wait_for_whoever_prunes_write_into_the_new_file(
    writers: Callable[..., JournalWriter], folder: Path, what: str
) -> None:
    many = [writers() for _ in range(6)]
    many[0].append("s1", b"before")
    path = folder / "s1.jsonl"
    pruner = os.open(path, os.O_RDWR)
    fcntl.flock(pruner, fcntl.LOCK_EX)
    threads = [
        threading.Thread(target=lambda writer=writer, number=number: writer.append("s1", b"after %d" % number))
        for number, writer in enumerate(many)
    ]
    for thread in threads:
        thread.start()
    poll(lambda: waiting_for(path) == len(many), what="all of them waiting for the lock")
    if what == "unlink":
        path.unlink()
    else:
        (folder / "new").write_bytes(b"kept\n")
        (folder / "new").rename(path)
    os.close(pruner)  # which lets go of the lock
    for thread in threads:
        thread.join()
    kept = [b"kept"] if what == "replace" else []
    wanted = [*kept, *(b"after %d" % number for number in range(6))]
    assert sorted(path.read_bytes().splitlines()) == sorted(wanted)


def test_a_journal_that_vanishes_every_time_is_given_up(
    writers: Callable[..., JournalWriter], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = fcntl.flock

    def vanish(descriptor: int, how: int) -> None:
        flock(descriptor, how)
        (folder / "s1.jsonl").unlink(missing_ok=True)

    with monkeypatch.context() as patched:
        patched.setattr(journal_writer.fcntl, "flock", vanish)
        with pytest.raises(NotRecorded, match="others keep removing or replacing it"):
            writers().append("s1", b"x")
    assert writers().append("s1", b"x").number == 1


def a_file_instead_of_the_folder(folder: Path) -> None:
    folder.write_text("")


def a_folder_instead_of_the_journal(folder: Path) -> None:
    (folder / "s1.jsonl").mkdir(parents=True)


@pytest.mark.parametrize("obstacle", [a_file_instead_of_the_folder, a_folder_instead_of_the_journal])
def test_where_no_journal_can_be_it_is_said_and_nothing_else_suffers(
    tmp_path: Path, obstacle: Callable[[Path], None]
) -> None:
    folder = tmp_path / "journals"
    obstacle(folder)
    writer = JournalWriter(folder)
    with pytest.raises(NotRecorded) as error:
        writer.append("s1", b"x")
    assert str(folder / "s1.jsonl") in error.value.message
    assert error.value.hint
    assert "\n" not in error.value.message
    if folder.is_dir():
        assert writer.append("s2", b"x").number == 1


# --- a write that fails ----------------------------------------------------------------------------------------------


def failing_write(after: int, number: int = errno.ENOSPC) -> Callable[[int, Any], int]:
    """Writes so many bytes, then none."""
    left = [after]
    write = os.write

    def fail(descriptor: int, data: Any) -> int:
        if left[0] == 0:
            raise OSError(number, os.strerror(number))
        written = write(descriptor, data[: left[0]])
        left[0] -= written
        return written

    return fail


@pytest.mark.parametrize("after", [0, 1, 5, 10])
@pytest.mark.parametrize("torn", [False, True])
def test_a_line_that_finds_no_room_leaves_nothing(
    writers: Callable[..., JournalWriter], folder: Path, monkeypatch: pytest.MonkeyPatch, after: int, torn: bool
) -> None:
    writer = writers()
    writer.append("s1", b"first")
    if torn:
        with (folder / "s1.jsonl").open("ab") as other:
            other.write(b"torn")
    before = (folder / "s1.jsonl").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(journal_writer.os, "write", failing_write(after))
        with pytest.raises(NotRecorded, match="No space left on device"):
            writer.append("s1", b"0123456789")
    assert (folder / "s1.jsonl").read_bytes() == before
    place = writer.append("s1", b"0123456789")
    assert (folder / "s1.jsonl").read_bytes() == before + b"\n" * torn + b"0123456789\n"
    assert place.number == 2 + torn


def test_a_piece_of_a_line_that_could_not_be_taken_back_is_closed_off(
    writers: Callable[..., JournalWriter], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = writers()
    writer.append("s1", b"first")

    def fail(descriptor: int, size: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(journal_writer.os, "write", failing_write(4))
        patched.setattr(journal_writer.os, "ftruncate", fail)
        with pytest.raises(NotRecorded):
            writer.append("s1", b"0123456789")
    assert writer.append("s1", b"next").number == 3
    assert (folder / "s1.jsonl").read_bytes() == b"first\n0123\nnext\n"


def test_a_call_that_was_interrupted_in_the_middle_of_a_line_costs_no_other(
    writers: Callable[..., JournalWriter], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = writers()
    writer.append("s1", b"first")
    write = os.write

    def interrupted(descriptor: int, data: Any) -> int:
        write(descriptor, data[:4])
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(journal_writer.os, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            writer.append("s1", b"0123456789")
    assert writer.append("s1", b"next").number == 3
    assert (folder / "s1.jsonl").read_bytes() == b"first\n0123\nnext\n"


# --- fsync -----------------------------------------------------------------------------------------------------------


class Disk:
    """What was written and put on the disk, in order; the files of `failing` cannot be put there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[tuple[str, str]] = []
        self.failing: set[str] = set()
        self._write, self._fsync = os.write, os.fsync
        monkeypatch.setattr(journal_writer.os, "write", self.write)
        monkeypatch.setattr(journal_writer.os, "fsync", self.fsync)

    def write(self, descriptor: int, data: Any) -> int:
        self.events.append(("write", Path(f"/proc/self/fd/{descriptor}").readlink().name))
        return self._write(descriptor, data)

    def fsync(self, descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        self.events.append(("fsync", name))
        if name in self.failing:
            raise OSError(errno.EIO, "Input/output error")
        self._fsync(descriptor)

    def synced(self) -> Counter[str]:
        return Counter(name for what, name in self.events if what == "fsync")


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_always_puts_each_line_on_the_disk_before_it_returns(
    writers: Callable[..., JournalWriter], folder: Path, disk: Disk
) -> None:
    writer = writers("always")
    writer.append("s1", b"x")
    assert disk.events == [("write", "s1.jsonl"), ("fsync", "s1.jsonl"), ("fsync", "journals")]
    disk.events.clear()
    writer.append("s1", b"x")
    assert disk.events == [("write", "s1.jsonl"), ("fsync", "s1.jsonl")]


def test_always_takes_back_a_line_that_the_disk_did_not_get(
    writers: Callable[..., JournalWriter], folder: Path, disk: Disk
) -> None:
    writer = writers("always")
    writer.append("s1", b"first")
    disk.failing = {"s1.jsonl"}
    with pytest.raises(NotRecorded, match="Input/output error"):
        writer.append("s1", b"second")
    disk.failing = set()
    assert (folder / "s1.jsonl").read_bytes() == b"first\n"
    assert writer.append("s1", b"second").number == 2


def test_never_leaves_it_to_the_system(writers: Callable[..., JournalWriter], disk: Disk) -> None:
    writer = writers("never")
    for number in range(100):
        writer.append(f"s{number}", b"x")
    writer.close()
    assert disk.synced() == {}


@pytest.fixture
def seconds() -> ManualEvent:
    """The waits of the thread that syncs once a second."""
    return ManualEvent()


@pytest.fixture
def interval_writer(writers: Callable[..., JournalWriter], seconds: ManualEvent) -> JournalWriter:
    writer = writers("interval")
    assert writer._sync_thread is not None
    writer._sync_thread._stopped = seconds
    return writer


def test_interval_puts_it_on_the_disk_once_a_second(
    interval_writer: JournalWriter, seconds: ManualEvent, disk: Disk
) -> None:
    interval_writer.append("s1", b"x")
    poll(lambda: seconds.timeouts == [1.0])
    assert disk.synced() == {}
    seconds.elapse()
    poll(lambda: disk.synced() == {"s1.jsonl": 1})


def test_interval_puts_each_file_there_once_for_however_many_lines_and_not_again_without_a_new_one(
    interval_writer: JournalWriter, seconds: ManualEvent, disk: Disk
) -> None:
    for number in range(100):
        interval_writer.append(f"s{number % 5}", b"x")
    seconds.elapse()
    poll(lambda: len(disk.synced()) == 5)
    interval_writer.append("s1", b"x")
    seconds.elapse()
    poll(lambda: disk.synced()["s1.jsonl"] == 2)
    interval_writer.close()
    assert disk.synced() == {"s0.jsonl": 1, "s1.jsonl": 2, "s2.jsonl": 1, "s3.jsonl": 1, "s4.jsonl": 1}


def test_interval_puts_on_the_disk_what_is_closed_for_others_or_for_good(
    writers: Callable[..., JournalWriter], disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync_thread, "FSYNC_SECONDS", 3_600)
    monkeypatch.setattr(journal_writer, "OPEN_FILES", 1)
    writer = writers("interval")
    for number in range(100):
        writer.append(f"s{number}", b"x")
    assert len(disk.synced()) >= 100 - journal_writer.STRIPES
    writer.close()
    assert disk.synced() == Counter(f"s{number}.jsonl" for number in range(100))


def test_a_failure_between_two_calls_reaches_the_next_caller_once_and_no_other_file_suffers(
    interval_writer: JournalWriter, seconds: ManualEvent, folder: Path, disk: Disk
) -> None:
    writer = interval_writer
    disk.failing = {"s2.jsonl"}
    for number in range(5):
        writer.append(f"s{number}", b"x")
    seconds.elapse()
    poll(lambda: len(seconds.timeouts) == 2, what="the next wait")
    assert len(disk.synced()) == 5
    assert len(open_files(folder)) == 5, "nothing is left open"
    with pytest.raises(NotRecorded, match="Input/output error"):
        writer.append("s1", b"refused")
    disk.failing = set()
    assert writer.append("s1", b"taken").number == 2
    assert (folder / "s1.jsonl").read_bytes() == b"x\ntaken\n"


@pytest.mark.parametrize("policy", ["interval", "always"])
def test_a_failure_at_the_end_is_told_by_close_and_everything_is_closed(
    writers: Callable[..., JournalWriter],
    folder: Path,
    disk: Disk,
    monkeypatch: pytest.MonkeyPatch,
    policy: str,
) -> None:
    monkeypatch.setattr(sync_thread, "FSYNC_SECONDS", 3_600)
    earlier = set(threading.enumerate())
    writer = writers(policy)
    for number in range(50):
        writer.append(f"s{number}", b"x")
    disk.failing = {"s7.jsonl"}
    if policy == "interval":
        with pytest.raises(ChatstoreError, match=r"Input/output error\. The newest lines may not be on the disk"):
            writer.close()
        assert len(disk.synced()) == 50
    else:
        writer.close()
    assert open_files(folder) == []
    assert not any(thread.name == "chatstore-fsync" for thread in {*threading.enumerate()} - earlier)


# --- several at once -------------------------------------------------------------------------------------------------

RECORDER = """
import json, random, sys, threading
from pathlib import Path
from chatstore_cli.files.journal_writer import JournalWriter

folder, name, lines, threads = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
writer = JournalWriter(folder)
print("ready", flush=True)
sys.stdin.readline()
places = []

def record(thread):
    chance = random.Random(f"{name}{thread}")
    for number in range(lines):
        key = f"{name}-{thread}-{number}"
        size = chance.choice([1, 10, 100, 1_000, 5_000, 70_000])
        session = f"s{number % 2}"
        place = writer.append(session, json.dumps({"key": key, "text": "x" * size}).encode())
        places.append((session, key, place.number, place.offset))

made = [threading.Thread(target=record, args=(thread,)) for thread in range(threads)]
for one in made: one.start()
for one in made: one.join()
print(json.dumps(places), flush=True)
"""


def run_recorders(folder: Path, count: int, lines: int, threads: int) -> list[list[tuple[str, str, int, int]]]:
    """Several processes at once, each from several threads; what each says of where its lines went."""
    arguments = [(str(folder), f"p{number}", str(lines), str(threads)) for number in range(count)]
    return [json.loads(printed) for printed in run_together(RECORDER, arguments)]


def assert_each_line_once_and_whole(folder: Path, locations: list[list[tuple[str, str, int, int]]]) -> None:
    places = [tuple(place) for process in locations for place in process]
    for session in {str(place[0]) for place in places}:
        content = (folder / f"{session}.jsonl").read_bytes()
        offset = 0
        found = []
        for number, line in enumerate(content.splitlines(keepends=True), 1):
            assert line.endswith(b"\n")
            found.append((session, json.loads(line)["key"], number, offset))
            offset += len(line)
        assert sorted(found) == sorted(place for place in places if place[0] == session)


@pytest.mark.parametrize(
    ("lines", "threads"),
    [
        pytest.param(800, 2, id="thousands"),
        pytest.param(6_000, 3, id="tens of thousands", marks=[pytest.mark.soak, pytest.mark.timeout(3600)]),
    ],
)
def test_processes_and_threads_that_write_into_the_same_sessions_tear_and_fuse_nothing(
    folder: Path, lines: int, threads: int
) -> None:
    locations = run_recorders(folder, 2, lines, threads)
    assert sum(map(len, locations)) == 2 * lines * threads
    assert_each_line_once_and_whole(folder, locations)


FORKING = """
import json, os, random, sys, threading, time
from pathlib import Path
from chatstore_cli.files import journal_writer, sync_thread
from chatstore_cli.files.journal_writer import JournalWriter

folder, children = Path(sys.argv[1]), int(sys.argv[2])
writer = JournalWriter(folder, "interval")
os.register_at_fork(after_in_child=writer.reset_after_fork)  # as the library does for each of its caches
write = os.write
journal_writer.os.write = lambda descriptor, data: write(descriptor, data[:7])  # lines that take their time
journal_writer.os.fsync = lambda descriptor: synced.append(descriptor)
sync_thread.FSYNC_SECONDS = 0.05
ended = threading.Event()
name, places, synced = "parent", [], []

def record(thread, lines):
    number = 0
    while number < lines if lines else not ended.is_set():
        key = f"{name}-{thread}-{number}"
        place = writer.append("s1", json.dumps({"key": key}).encode())
        places.append(("s1", key, place.number, place.offset))
        number += 1

made = [threading.Thread(target=record, args=(thread, 0)) for thread in range(2)]
for one in made: one.start()
pids = []
for number in range(children):
    time.sleep(random.random() / 100)
    pid = os.fork()
    if pid == 0:
        open_before = [os.readlink(f"/proc/self/fd/{entry}") for entry in os.listdir("/proc/self/fd")
                       if os.path.exists(f"/proc/self/fd/{entry}")]
        assert not any(path.endswith(".jsonl") for path in open_before), open_before
        name, places, synced = f"child{number}", [], []
        record(0, 20)
        deadline = time.monotonic() + 120
        while not synced and time.monotonic() < deadline:
            time.sleep(0.01)
        assert synced, "nobody puts on the disk what the child writes"
        writer.close()
        Path(f"{folder}-{name}").write_text(json.dumps(places))
        os._exit(0)
    pids.append(pid)
codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
ended.set()
for one in made: one.join()
assert codes == [0] * children, codes
print(json.dumps(places))
"""


def test_children_of_a_fork_write_on_their_own_whatever_the_parent_was_doing(folder: Path) -> None:
    """Its threads write all the time: at each fork one of them may hold a lock, or be in the middle of a line."""
    children = 15
    done = subprocess.run(
        [sys.executable, "-c", FORKING, str(folder), str(children)], cwd=ROOT, capture_output=True, timeout=300
    )
    assert done.returncode == 0, done.stderr.decode()
    locations = [json.loads(done.stdout)]
    locations += [json.loads(Path(f"{folder}-child{number}").read_text()) for number in range(children)]
    assert sum(map(len, locations)) > children * 20
    assert_each_line_once_and_whole(folder, locations)


# --- without a disk --------------------------------------------------------------------------------------------------


def test_without_a_journal_lines_are_numbered_by_session() -> None:
    journal = MemoryJournal()
    assert [journal.append(session, b"x").number for session in ("a", "b", "a", "a")] == [1, 1, 2, 3]
    assert list(journal.sessions()) == []
    assert journal.newest("a", 5) == []
    with pytest.raises(BadValue):
        journal.append("\ud800", b"x")


def test_without_a_journal_numbering_does_not_fill_memory() -> None:
    journal = MemoryJournal()
    chance = random.Random(1)
    for _ in range(20_000):
        journal.append(f"s{chance.randrange(20_000)}", b"x")
    assert len(journal._numbers) <= 5_001
