"""The quarantine keeps every byte of every bad line, once, through crashes and full disks."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.files import quarantine as quarantine_module
from chatstore_cli.files.quarantine import FILE_NAME, Quarantine

AT = "2026-03-02T11:41:00.195769+00:00"


def add(quarantine: Quarantine, offset: int, raw: bytes, source: str = "/j/s.jsonl") -> bool:
    return quarantine.add(source, 7, offset, raw, "torn", AT)


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_every_byte_can_be_had_back(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]):
    folder = tmp_path_factory.mktemp("q")
    quarantine = Quarantine(folder)
    assert all(add(quarantine, offset, raw) for offset, raw in enumerate(lines))
    quarantine.sync()
    kept = list(Quarantine(folder).lines())
    assert [(line.offset, line.raw, line.length) for line in kept] == [
        (offset, raw, len(raw)) for offset, raw in enumerate(lines)
    ]


def test_a_line_is_told_from_others_by_source_offset_and_bytes(tmp_path: Path):
    quarantine = Quarantine(tmp_path)
    assert add(quarantine, 5, b"x")
    for again in (quarantine, Quarantine(tmp_path)):
        assert not add(again, 5, b"x")
        assert again.knows("/j/s.jsonl", 5, b"x")
        assert not again.knows("/j/s.jsonl", 6, b"x")
        assert not again.knows("/j/s.jsonl", 5, b"y")
        assert not again.knows("/j/t.jsonl", 5, b"x")


def test_what_a_crash_tore_costs_neither_the_lines_before_nor_those_after(tmp_path: Path):
    quarantine = Quarantine(tmp_path)
    add(quarantine, 1, b"one")
    add(quarantine, 2, b"two")
    quarantine.sync()
    file = tmp_path / FILE_NAME
    for cut in range(file.read_bytes().index(b"\n") + 1, file.stat().st_size):
        (tmp_path / "torn").mkdir(exist_ok=True)
        (tmp_path / "torn" / FILE_NAME).write_bytes(file.read_bytes()[:cut])
        torn = Quarantine(tmp_path / "torn")
        assert not torn.knows("/j/s.jsonl", 2, b"two") or cut == file.stat().st_size - 1
        add(torn, 2, b"two")
        add(torn, 3, b"three")
        assert [line.raw for line in Quarantine(tmp_path / "torn").lines()] == [b"one", b"two", b"three"]


def test_a_full_disk_is_one_line_and_costs_no_later_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    quarantine = Quarantine(tmp_path)
    add(quarantine, 1, b"one")
    real_write = os.write

    room = [20]

    def write(descriptor: int, data: bytes) -> int:
        if not room:
            raise OSError(28, "No space left on device")
        return real_write(descriptor, data[: room.pop()])

    with monkeypatch.context() as full:
        full.setattr(quarantine_module.os, "write", write)
        with pytest.raises(
            ChatstoreError, match=r"^Cannot quarantine a line in .*quarantine\.jsonl: No space left on device\."
        ):
            add(quarantine, 2, b"two")
    assert not quarantine.knows("/j/s.jsonl", 2, b"two")
    assert add(quarantine, 3, b"three")
    assert [line.raw for line in Quarantine(tmp_path).lines()] == [b"one", b"three"]
    assert add(quarantine, 2, b"two")


def test_a_line_too_long_for_memory_lies_in_a_file_of_its_own(tmp_path: Path):
    quarantine = Quarantine(tmp_path)
    pieces = [b"a" * 100, b"b" * 100]
    assert quarantine.add_large("/j/s.jsonl", 7, 5, 200, iter(pieces), "too long", AT)
    assert not Quarantine(tmp_path).add_large("/j/s.jsonl", 7, 5, 200, iter([b"never asked for"]), "too long", AT)
    [line] = Quarantine(tmp_path).lines()
    assert (line.raw, line.length, line.line, line.offset) == (None, 200, 7, 5)
    assert line.raw_file is not None
    assert (tmp_path / line.raw_file).read_bytes() == b"".join(pieces)


def test_a_long_line_that_finds_no_room_leaves_nothing_behind(tmp_path: Path):
    def pieces() -> Any:
        yield b"a" * 100
        raise OSError(28, "No space left on device")

    quarantine = Quarantine(tmp_path)
    with pytest.raises(ChatstoreError, match="No space left"):
        quarantine.add_large("/j/s.jsonl", 7, 5, 200, pieces(), "too long", AT)
    assert list(tmp_path.iterdir()) == []
    assert quarantine.add_large("/j/s.jsonl", 7, 5, 200, iter([b"a" * 200]), "too long", AT)


def test_taking_lines_out_leaves_the_others_and_lets_them_be_put_in_again(tmp_path: Path):
    quarantine = Quarantine(tmp_path)
    for offset in range(4):
        add(quarantine, offset, b"%d" % offset)
    kept = list(quarantine.lines())
    quarantine.remove({kept[1].quarantine_id, kept[3].quarantine_id})
    assert [line.raw for line in Quarantine(tmp_path).lines()] == [b"0", b"2"]
    assert not add(quarantine, 2, b"2")
    assert add(quarantine, 3, b"3")
    assert [line.raw for line in Quarantine(tmp_path).lines()] == [b"0", b"2", b"3"]


def test_names_and_reasons_that_are_no_utf8_can_be_kept(tmp_path: Path):
    quarantine = Quarantine(tmp_path)
    source = os.fsdecode(b"/j/caf\xe9.jsonl")
    assert quarantine.add(source, 1, 0, b"\xff", "unknown role '\udce9'", AT)
    [line] = Quarantine(tmp_path).lines()
    assert (line.source, line.raw) == ("/j/caf\\xe9.jsonl", b"\xff")
    assert Quarantine(tmp_path).knows(source, 0, b"\xff")


def test_the_quarantine_is_nobody_elses_to_read(tmp_path: Path):
    add(Quarantine(tmp_path), 1, b"one")
    quarantine = Quarantine(tmp_path)
    add(quarantine, 2, b"two")
    quarantine.remove(set())
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o077 == 0


def test_lines_added_while_another_process_takes_some_out_are_all_kept(tmp_path: Path):
    """Two objects hold two descriptors, and so two locks, as two processes do."""
    adding, removing = Quarantine(tmp_path), Quarantine(tmp_path)
    taken: set[str] = set()
    ended = threading.Event()

    def take_out() -> None:
        while not ended.is_set():
            some = {line.quarantine_id for line in removing.lines() if line.offset % 3 == 0}
            removing.remove(some)
            taken.update(some)

    remover = threading.Thread(target=take_out)
    remover.start()
    for offset in range(600):
        assert add(adding, offset, b"x%d" % offset)
    ended.set()
    remover.join()
    kept = {line.quarantine_id for line in Quarantine(tmp_path).lines()}
    assert len(taken) > 10
    assert len(kept | taken) == 600
    assert not kept & taken


def test_the_remaining_lines_are_on_the_disk_before_their_file_replaces_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    quarantine = Quarantine(tmp_path)
    for number in range(2):
        add(quarantine, number, b"x%d" % number)
    quarantine.sync()
    events: list[str] = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (events.append("fsync"), fsync(descriptor))[1])
    monkeypatch.setattr(Path, "replace", lambda path, target: (events.append("replace"), replace(path, target))[1])
    quarantine.remove({next(quarantine.lines()).quarantine_id})
    assert events == ["fsync", "replace"]
    assert [line.raw for line in quarantine.lines()] == [b"x1"]
