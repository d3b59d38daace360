"""Reading journals: every byte at its offset, in pieces of limited size, and a replaced file is noticed."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.journal import Position
from chatstore_cli.domain.message_store import Block, OversizedLine
from chatstore_cli.files import journal_reader
from chatstore_cli.files.journal_reader import JournalFile
from tests.support.journals import as_lines, record, write_journal


@given(
    st.lists(st.sampled_from([b"", b"a", b"bb", b"c" * 7, b"d" * 30]), max_size=12),
    st.booleans(),
    st.integers(1, 12),
    st.data(),
)
def test_the_blocks_are_the_file_in_order_with_their_offsets(
    lines: list[bytes], ends_with_feed: bool, block: int, data: st.DataObject
):
    """From the start of any line. Of a line over the limit only the offset and the length are yielded."""
    content = b"\n".join(lines) + (b"\n" if ends_with_feed and lines else b"")
    starts = [0, *(at + 1 for at, byte in enumerate(content) if byte == ord("\n"))]
    start = data.draw(st.sampled_from(starts))
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        patch.setattr(journal_reader, "BLOCK", block)
        patch.setattr(journal_reader, "LINE_LIMIT", 15)
        file = Path(folder, "a.jsonl")
        file.write_bytes(content)
        journal = JournalFile(file)
        if start:
            journal.still_at(Position(start, 0, "", "", ""))
        at = start
        for found in journal.blocks(start):
            assert found.offset == at
            if isinstance(found, OversizedLine):
                # A line that ends in the piece that passes the limit may still come whole.
                assert found.length > 15
                held = b"".join(journal.pieces(found.offset, found.length))
                assert held == content[at : at + found.length]
                at += found.length + found.complete
                continue
            assert isinstance(found, Block)
            assert max(map(len, found.lines)) <= 15 + block
            joined = b"\n".join(found.lines) + (b"\n" if found.complete else b"")
            assert content[at : at + len(joined)] == joined
            at += len(joined)
            assert found.complete or at == len(content)
        assert at == len(content)


def all_lines(journal: JournalFile) -> list[bytes]:
    return [line for block in journal.blocks() if isinstance(block, Block) for line in block.lines]


def test_a_compressed_journal_reads_like_any_other(tmp_path: Path):
    lines = as_lines(record(number) for number in range(20_000))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines))
    journal = JournalFile(tmp_path / "a.jsonl.gz")
    assert b"\n".join(all_lines(journal)) + b"\n" == lines
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines[:100]) + gzip.compress(lines[100:]))
    assert b"\n".join(all_lines(JournalFile(tmp_path / "b.jsonl.gz"))) + b"\n" == lines


@pytest.mark.parametrize("damage", ["cut off", "flipped", "no gzip at all"])
def test_what_comes_before_a_damage_in_a_compressed_journal_is_read(tmp_path: Path, damage: str):
    lines = b"".join(os.urandom(40).hex().encode() + b"\n" for _ in range(5_000))
    packed = bytearray(gzip.compress(lines))
    if damage == "cut off":
        del packed[len(packed) // 2 :]
    elif damage == "flipped":
        packed[len(packed) // 2 : len(packed) // 2 + 50] = b"\xff" * 50
    else:
        packed = bytearray(lines)
    (tmp_path / "a.jsonl.gz").write_bytes(packed)
    read: list[bytes] = []
    with pytest.raises(ChatstoreError, match=r"a\.jsonl\.gz: the compressed file is damaged or cut off"):
        for block in JournalFile(tmp_path / "a.jsonl.gz").blocks():
            assert isinstance(block, Block)
            read += block.lines
    before = lines.split(b"\n")[: 0 if damage == "no gzip at all" else 2_000]
    assert read[: len(before)] == before


# --- whether it is still the same file -------------------------------------------------------------------------------


@pytest.fixture
def journal(tmp_path: Path) -> JournalFile:
    return JournalFile(write_journal(tmp_path / "s.jsonl", [record(number) for number in range(100)]))


def position_of(journal: JournalFile, offset: int | None = None) -> Position:
    list(journal.blocks())
    position = journal.position_at(journal.size() if offset is None else offset, 100, "z")
    assert position is not None
    return position


def path_of(journal: JournalFile) -> Path:
    assert journal.path is not None
    return journal.path


def test_a_journal_that_only_grew_is_the_same(journal: JournalFile):
    position = position_of(journal)
    with path_of(journal).open("ab") as stream:
        stream.write(as_lines([record(101)]))
    again = JournalFile(path_of(journal))
    assert again.still_at(position)
    assert [line for block in again.blocks(position.offset) for line in getattr(block, "lines", [])] == [
        as_lines([record(101)])[:-1]
    ]


def test_a_truncated_journal_is_another(journal: JournalFile):
    position = position_of(journal)
    os.truncate(path_of(journal), position.offset - 1)
    assert not JournalFile(path_of(journal)).still_at(position)


def test_a_journal_that_was_truncated_and_written_anew_is_another(journal: JournalFile):
    position = position_of(journal, 5_000)
    path_of(journal).write_bytes(as_lines(record(number) for number in range(500, 700)))
    assert not JournalFile(path_of(journal)).still_at(position)


def test_a_rotated_journal_is_another_even_with_the_same_bytes(journal: JournalFile):
    position = position_of(journal)
    content = path_of(journal).read_bytes()
    path_of(journal).rename(path_of(journal).with_suffix(".jsonl.1"))
    path_of(journal).write_bytes(content)
    assert not JournalFile(path_of(journal)).still_at(position)


def test_a_line_mended_in_the_middle_by_an_editor_is_noticed(journal: JournalFile):
    position = position_of(journal)
    content = bytearray(path_of(journal).read_bytes())
    middle = len(content) // 2
    content[middle : middle + 1] = b"X"
    beside = path_of(journal).with_suffix(".new")
    beside.write_bytes(content)
    beside.replace(path_of(journal))
    assert not JournalFile(path_of(journal)).still_at(position)


def test_a_journal_that_has_gone_is_not_the_same(journal: JournalFile):
    position = position_of(journal)
    path_of(journal).unlink()
    assert not JournalFile(path_of(journal)).still_at(position)
    assert journal.position_at(position.offset, 100, "z") is None
    with pytest.raises(ChatstoreError, match="No such file"):
        list(JournalFile(path_of(journal)).blocks())


def test_no_position_is_taken_of_a_file_that_took_the_read_ones_place(journal: JournalFile):
    """Rotation while it is read: a position in the new file would pass lines that were not read."""
    blocks = journal.blocks()
    next(blocks)
    path_of(journal).rename(path_of(journal).with_suffix(".jsonl.1"))
    write_journal(path_of(journal), [record(number) for number in range(1_000)])
    assert journal.position_at(5_000, 100, "z") is None


def test_no_position_is_taken_of_a_file_that_was_truncated_and_grew_again_while_it_was_read(journal: JournalFile):
    blocks = journal.blocks()
    next(blocks)
    with path_of(journal).open("r+b") as stream:
        stream.truncate(0)
        stream.write(as_lines(record(number) for number in range(1_000, 2_000)))
    assert journal.position_at(5_000, 100, "z") is None


def test_a_file_that_is_replaced_between_looking_and_reading_is_not_read_from_its_middle(journal: JournalFile):
    position = position_of(journal, 5_000)
    again = JournalFile(path_of(journal))
    assert again.still_at(position)
    path_of(journal).rename(path_of(journal).with_suffix(".jsonl.1"))
    write_journal(path_of(journal), [record(number) for number in range(1_000)])
    with pytest.raises(ChatstoreError, match="the file was replaced"):
        next(again.blocks(position.offset))


def test_a_compressed_journal_is_done_as_a_whole_or_not_at_all(tmp_path: Path):
    file = tmp_path / "s.jsonl.gz"
    file.write_bytes(gzip.compress(as_lines([record(1)])))
    journal = JournalFile(file)
    position = position_of(journal)
    assert position.offset == file.stat().st_size
    assert JournalFile(file).still_at(position)
    with file.open("ab") as stream:
        stream.write(gzip.compress(as_lines([record(2)])))
    assert not JournalFile(file).still_at(position)


def cut_and_grow(journal: JournalFile, size: int) -> None:
    """Truncate the file and append other lines, so that it is longer than before."""
    with path_of(journal).open("r+b") as stream:
        stream.truncate(size)
        stream.seek(size)
        stream.write(b"\n" + as_lines(record(number) for number in range(5_000, 5_300)))


def test_a_file_that_is_cut_and_grows_again_while_it_is_read_is_not_read_on(
    journal: JournalFile, monkeypatch: pytest.MonkeyPatch
):
    """Else its lines before the offset that reading has reached would be left out."""
    monkeypatch.setattr(journal_reader, "BLOCK", 6_000)
    blocks = journal.blocks()
    next(blocks)
    cut_and_grow(journal, 4_500)
    with pytest.raises(ChatstoreError, match="changed while it was read"):
        list(blocks)


def test_a_file_that_is_cut_and_grows_again_after_it_was_looked_at_is_not_read_on(journal: JournalFile):
    position = position_of(journal, 9_000)
    again = JournalFile(path_of(journal))
    assert again.still_at(position)
    cut_and_grow(journal, 4_500)
    with pytest.raises(ChatstoreError, match="changed while it was read"):
        list(again.blocks(position.offset))


def test_a_position_is_of_what_was_read_not_of_what_stands_there_by_now(journal: JournalFile):
    list(journal.blocks())
    end = journal.size()
    cut_and_grow(journal, 4_500)
    position = journal.position_at(end, 100, "z")
    assert position is None or not JournalFile(path_of(journal)).still_at(position)


def test_what_is_added_to_a_compressed_journal_while_it_is_read_is_not_passed_over(tmp_path: Path):
    file = tmp_path / "s.jsonl.gz"
    file.write_bytes(gzip.compress(as_lines([record(1)])))
    journal = JournalFile(file)
    list(journal.blocks())
    with file.open("ab") as stream:
        stream.write(gzip.compress(as_lines([record(2)])))
    assert journal.position_at(0, 1, "z") is None
