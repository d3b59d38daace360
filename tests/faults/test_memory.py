"""Memory of flush-cache stays bounded, however large the journal and its messages, in whatever order."""

from __future__ import annotations

import json
import os
import random
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from tests.conftest import Chatstore
from tests.support.journals import COLLECTION, as_line, instant, record

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]]
BOUND_MIB = 150
"""The bound for the peak memory of a flush, whatever the size of the journal."""


def peak_of_flush(chatstore: Chatstore, *arguments: str | Path, code: int = 0) -> tuple[dict[str, Any], float]:
    """What the flush did, and its peak memory in MiB.

    The kernel's high-water mark of the running process: the one that wait4 gives begins with what the parent had.
    """
    process = chatstore.popen("flush-cache", *arguments, "-o", "json", "--quiet")
    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():
        pytest.skip("no /proc/<pid>/status here to read a process's peak memory from")
    peak = 0
    while process.poll() is None:
        if found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text()):
            peak = int(found[1])
        time.sleep(0.01)
    out, err = process.communicate()
    assert process.returncode == code, err
    return json.loads(out), peak / 1024


def in_order(size: int, text: int) -> Iterator[bytes]:
    written = number = 0
    filling = "lorem ipsum " * (text // 12 + 1)
    while written < size:
        line = as_line(record(number, session=f"s{number % 500}", text=f"{number} {filling[:text]}"))
        yield line
        written += len(line)
        number += 1


def in_no_order(size: int, text: int) -> Iterator[bytes]:
    """Random times, and every tenth line the equal of another."""
    chance = random.Random(7)
    written = 0
    while written < size:
        number = chance.randrange(10_000_000)
        line = as_line(record(0, session=f"s{number % 50}", text="x" * text, created_at=instant(number % 1_000_000)))
        again = line * (2 if number % 10 == 0 else 1)
        yield again
        written += len(again)


@pytest.mark.parametrize(
    ("lines", "size", "text"),
    [
        pytest.param(in_order, 30 << 20, 300, id="30 MiB of usual messages"),
        pytest.param(in_order, 60 << 20, 20_000, id="60 MiB of long messages"),
        pytest.param(in_order, 60 << 20, 1 << 20, id="60 MiB of very long messages"),
        pytest.param(in_no_order, 10 << 20, 20, id="10 MiB in no order"),
        pytest.param(in_order, 5 << 30, 800, id="5 GiB", marks=[pytest.mark.soak, pytest.mark.timeout(7200)]),
        pytest.param(
            in_no_order, 1 << 30, 100, id="1 GiB in no order", marks=[pytest.mark.soak, pytest.mark.timeout(7200)]
        ),
    ],
)
def test_memory_does_not_grow_with_the_journal(
    chatstore: Chatstore,
    database: Documents,
    tmp_path: Path,
    lines: Callable[[int, int], Iterator[bytes]],
    size: int,
    text: int,
):
    journal = tmp_path / "journals" / "s.jsonl"
    journal.parent.mkdir()
    count = 0
    with journal.open("wb") as stream:
        for line in lines(size, text):
            stream.write(line)
            count += line.count(b"\n")
    result, peak = peak_of_flush(chatstore, journal.parent)
    assert (result["lines"], result["stored"]) == (count, count)
    assert database[COLLECTION].estimated_document_count() == count
    print(f"{count:,} messages of {size >> 20:,} MiB: {peak:.0f} MiB, {result['messages_per_second']:,.0f}/s")
    assert peak < BOUND_MIB
    journal.unlink()


def test_a_line_of_any_length_is_never_held_in_memory(chatstore: Chatstore, database: Documents, tmp_path: Path):
    """A hole of 300 MiB in the journal, as a crash leaves it on some file systems."""
    journal = tmp_path / "journals" / "s.jsonl"
    journal.parent.mkdir()
    with journal.open("wb") as stream:
        stream.write(as_line(record(0)))
        stream.seek(300 << 20, os.SEEK_CUR)
        stream.write(b"\n" + as_line(record(1)))
    result, peak = peak_of_flush(chatstore, journal.parent, code=7)
    assert (result["lines"], result["stored"], result["quarantined"]) == (3, 2, 1)
    [kept] = (journal.parent / ".chatstore").glob("quarantine-*.bin")
    assert kept.stat().st_size == 300 << 20
    assert peak < BOUND_MIB
