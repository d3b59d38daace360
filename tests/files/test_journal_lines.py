"""Damaged lines: whole records are salvaged, every other byte is kept, and data inside a record never become a record."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatstore_cli.files.journal_lines import PADDING, decode_flaw, loads, read_record, salvage
from tests.support.journals import as_line, record


def bare(number: int, **fields: Any) -> bytes:
    return as_line(record(number, **fields))[:-1]


def saved(line: bytes) -> list[bytes]:
    return [piece.raw for piece in salvage(line) if piece.flaw is None]


def test_two_fused_records_come_apart():
    pieces = list(salvage(bare(1) + bare(2)))
    assert [piece.raw for piece in pieces] == [bare(1), bare(2)]
    assert [piece.start for piece in pieces] == [0, len(bare(1))]
    assert {piece.flaw for piece in pieces} == {None}


def test_a_whole_record_after_a_torn_prefix_is_saved_and_the_prefix_kept():
    for cut in range(1, len(bare(1))):
        torn = bare(1, text="a { brace and é")[:cut]
        pieces = list(salvage(torn + bare(2)))
        assert [piece.raw for piece in pieces] == [torn, bare(2)], torn
        assert pieces[0].flaw == "incomplete: the line was cut off here"
        assert pieces[1] == (len(torn), bare(2), None)


def test_what_follows_the_last_whole_record_is_kept_as_torn():
    pieces = list(salvage(bare(1) + b'{"session_id": "s1", "ro'))
    assert [piece.flaw for piece in pieces] == [None, "incomplete: the rest after the last whole record of the line"]


def test_offsets_are_bytes_not_characters():
    torn = '{"text": "Zoë ☕ 𝄞'.encode() + b"\xff\xfe"
    pieces = list(salvage(torn + bare(1, text="é") + bare(2)))
    line = torn + bare(1, text="é") + bare(2)
    assert [line[piece.start :][: len(piece.raw)] for piece in pieces] == [piece.raw for piece in pieces]
    assert len(pieces) == 3


def test_any_number_of_fused_records_come_apart():
    line = b"".join(bare(number) for number in range(3_000))
    assert len(saved(line)) == 3_000


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(bare(0, metadata={"quoted": record(1, session="victim"), "more": "@"}), id="surrogate"),
        pytest.param(bare(0, metadata={"quoted": record(1, session="victim")}, note="@"), id="surrogate behind it"),
        pytest.param(bare(0, metadata=record(1, session="victim"), note="@"), id="metadata itself"),
        pytest.param(bare(0, metadata={"all": [record(1, session="victim"), 1]}, note="@"), id="in a list"),
    ],
)
def test_an_object_inside_a_record_never_becomes_a_record(line: bytes):
    """A client may send metadata that look like somebody else's message."""
    undecodable = line.replace(b'"@"', rb'"\ud800"')
    with pytest.raises(ValueError):
        loads(undecodable)
    for whole in (undecodable, line.replace(b'"@"', b"NaN")):
        assert saved(whole) == [whole]
        fields = read_record(whole).fields
        assert fields is not None and fields["session_id"] == "s1"
    start = line.index(b'{"session_id": "victim"')
    end = start + len(json.dumps(record(1, session="victim")))
    for cut in range(end + 1, len(line)):
        assert saved(line[:cut]) == [], line[:cut]
    assert saved(line[: end + 1] + bare(2)) == [bare(2)]


def test_an_object_that_is_whole_but_flawed_says_what_is_wrong_with_it():
    nameless = bare(1, role="narrator")
    pieces = list(salvage(nameless + bare(2)))
    assert pieces[0] == (0, nameless, "unknown role 'narrator'")
    assert pieces[1].flaw is None
    twice = bare(1).replace(b'"metadata": {}', b'"metadata": {}, "text": ""')
    assert next(salvage(twice + bare(2))).flaw == 'the key "text" occurs more than once'


@pytest.mark.parametrize(
    ("line", "flaw"),
    [
        (b'{"a": ', "not JSON: Expecting value: line 1 column 7 (char 6)"),
        (b'{"a": "\xff"}', "not UTF-8 at byte 7 of the line"),
        (b'{"a": NaN}', "not JSON: NaN is not JSON"),
        pytest.param(b'{"a": ' + b"[" * 100_000, "nested too deeply", id="deep"),
        (b"\x00" * 20, "not JSON: Expecting value: line 1 column 1 (char 0)"),
    ],
)
def test_each_way_of_not_being_json_has_its_words(line: bytes, flaw: str):
    assert decode_flaw(line) == flaw


@pytest.mark.parametrize(
    ("number", "lost"),
    [
        (str(2**63 - 1), False),
        (str(2**63), True),
        (str(2**64), True),
        (str(-(2**63)), False),
        (str(-(2**63) - 1), True),
        pytest.param("9" * 5_000, True, id="5000 digits"),
        ("1e300", False),
        ("18446744073709551616.0", False),
    ],
)
def test_integers_beyond_64_bits_become_text(number: str, lost: bool):
    raw = bare(1, metadata={"n": "@"}).replace(b'"@"', number.encode())
    fields, flaw, alterations = read_record(raw)
    assert fields is not None and flaw is None
    assert fields["metadata"]["n"] == (
        number if lost else float(number) if "e" in number or "." in number else int(number)
    )
    assert alterations == (("a number beyond 64 bits, kept as text",) if lost else ())


def test_hostile_lines_cost_a_bounded_time():
    many_starts = b'{"a' * 300_000
    assert [piece.raw for piece in salvage(many_starts)] == [many_starts]
    torn_list = b'{"metadata": [' + b",".join([bare(1)] * 3_000) + b","
    assert saved(torn_list) == []


texts = st.text(max_size=12)
records = st.builds(
    lambda text, role, number: record(number, text=text, role=role),
    texts,
    st.sampled_from(["user", "assistant", "system", "tool"]),
    st.integers(0, 50),
)
whole = records.map(lambda fields: as_line(fields)[:-1])
garbage = st.one_of(
    st.binary(max_size=30).map(lambda some: some.replace(b"\n", b"")),
    st.sampled_from([b"\0" * 9, b" \t", b"{", b"}", b'{"', b"[", b'"', b"\xef\xbb\xbf", b"\r"]),
    st.tuples(whole, st.integers(1, 60)).map(lambda torn: torn[0][: torn[1]]),
)


@given(st.lists(st.one_of(whole, garbage), max_size=8).map(b"".join))
def test_not_a_byte_of_a_line_is_lost(line: bytes):
    """The pieces are the line, except for padding between them."""
    at = 0
    for piece in salvage(line):
        assert line[at : piece.start].strip(PADDING) == b""
        assert line[piece.start :][: len(piece.raw)] == piece.raw
        at = piece.start + len(piece.raw)
    assert line[at:].strip(PADDING) == b""


@given(st.lists(whole, min_size=1, max_size=6), st.data())
def test_records_are_saved_whatever_is_torn_between_them(parts: list[bytes], data: st.DataObject):
    line = b""
    for part in parts:
        torn = data.draw(whole)
        line += torn[: data.draw(st.integers(0, len(torn) - 1))] + part
    assert saved(line) == parts
