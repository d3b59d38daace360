"""Which file names are a journal's. Every scan, look-up and command uses this rule.

A journal is named `<session>.jsonl`, also in upper case. A rotation appends a number (`.jsonl.1`) or a date
(`.jsonl-20261128`, `.jsonl.2026-11-28`, `.jsonl.2026-11-28_13-00`), and compression appends `.gz`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

SUFFIX = ".jsonl"

_NAME = re.compile(
    r"(?P<stem>.+)\.jsonl(?P<rotation>[._-][0-9](?:[0-9._:+T-]*[0-9])?Z?)?(?P<compression>\.gz)?",
    re.DOTALL | re.IGNORECASE,  # a name may have line feeds
)
_DATE = re.compile(r"([0-9]{4})[^0-9]?([0-9]{2})[^0-9]?([0-9]{2})(.*)", re.DOTALL)


class JournalName(NamedTuple):
    """The parts of a journal's name. `stem` is the name without suffixes.

    The journals of one `chain` follow each other in time, and `order` sorts them, oldest first. Numbers of a rotation
    grow with the age of a journal and dates do not, so numbered and dated journals are two chains.
    """

    stem: str
    chain: tuple[str, bool]
    order: tuple[int, ...]


def read_journal_name(name: str) -> JournalName | None:
    """The parts of a journal's name; None if a file of this name is not a journal."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    current = name[: match.end("stem") + len(SUFFIX)]
    rotation = (match["rotation"] or "")[1:]
    date = _DATE.match(rotation)
    if date is not None:
        order = (int(date[1] + date[2] + date[3]), *_numbers(date[4]))
        return JournalName(match["stem"], (current, True), order)
    return JournalName(match["stem"], (current, False), tuple(-number for number in _numbers(rotation)) or (0,))


def is_compressed(path: Path) -> bool:
    """Whether a file is compressed, by its name."""
    return path.suffix.lower() == ".gz"


def _numbers(text: str) -> list[int]:
    return [int(digits[:18]) for digits in re.findall(r"[0-9]+", text)]
