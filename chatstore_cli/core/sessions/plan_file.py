"""The file of a deletion plan: a header line, then a line for each session, all of them JSON."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from tempfile import TemporaryFile
from typing import Any, BinaryIO

from chatstore_cli.domain.deletions import PlanHeader, PlannedSession, add_documents
from chatstore_cli.domain.errors import WrongUse
from chatstore_cli.domain.labels import SessionRef
from chatstore_cli.domain.removal import SessionState
from chatstore_cli.domain.times import as_utc, rfc3339

KIND = "sessions delete"
VERSION = 1
LONGEST_LINE = 1 << 20
"""Bytes."""


def write_plan(
    stream: BinaryIO,
    header: Callable[[int, Mapping[str, int]], PlanHeader],
    planned: Iterable[PlannedSession],
) -> PlanHeader:
    """Write the plan to a file. `header` makes the header when the numbers are known; the rows wait in a temporary file."""
    sessions, documents = 0, dict[str, int]()
    with TemporaryFile(prefix="chatstore-") as rows:
        for each in planned:
            sessions += 1
            add_documents(documents, each.documents)
            rows.write(_line(_row(each)))
        made = header(sessions, documents)
        stream.write(_line({"plan": KIND, "version": VERSION, **asdict(made)}))
        rows.seek(0)
        shutil.copyfileobj(rows, stream)
    return made


class PlanFile:
    """A plan in an open file, which is read twice: first to check every line, then to carry it out."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        """Reads and checks the whole file. Raises WrongUse for anything but a complete plan."""
        self._stream = stream
        self._name = name
        self.header = self._read_header()
        rows = sum(1 for _ in self._rows())
        if rows != self.header.sessions:
            raise self._wrong(1, f"names {self.header.sessions:,} sessions, and {rows:,} lines follow")

    def __iter__(self) -> Iterator[PlannedSession]:
        self._stream.seek(0)
        self._read_header()
        yield from self._rows()

    def _read_header(self) -> PlanHeader:
        values = self._object(1, self._stream.readline(LONGEST_LINE + 1))
        if values.pop("plan", None) != KIND:
            raise self._wrong(1, "is not the header of a plan to delete sessions")
        if (version := values.pop("version", None)) != VERSION:
            raise self._wrong(1, f"is a plan of version {version!r}, and this chatstore reads version {VERSION}")
        try:
            header = PlanHeader(**values)
            texts = [header.target, header.created, *header.filters.values(), *header.collections.values()]
            numbers = [header.sessions, *header.documents.values()]
            if not _are(texts, str) or not _are(numbers, int) or type(header.keep_usage) is not bool:
                raise TypeError
        except (TypeError, AttributeError) as error:
            raise self._wrong(1, "is not the header of a plan to delete sessions") from error
        return header

    def _rows(self) -> Iterator[PlannedSession]:
        for number, line in enumerate(iter(lambda: self._stream.readline(LONGEST_LINE + 1), b""), 2):
            values = self._object(number, line)
            try:
                yield _planned(values)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise self._wrong(number, "is not a session of a plan") from error

    def _object(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            values = json.loads(line) if len(line) <= LONGEST_LINE and line.endswith(b"\n") else None
        except (ValueError, RecursionError):
            values = None
        if not isinstance(values, dict):
            raise self._wrong(number, "is not a whole line of JSON")
        return values

    def _wrong(self, number: int, what: str) -> WrongUse:
        hint = "A plan is used as --plan wrote it. Make a new one. Nothing was deleted."
        return WrongUse(what=f"Line {number:,} of {self._name} {what}.", hint=hint)


def _line(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values).encode() + b"\n"


def _row(planned: PlannedSession) -> dict[str, Any]:
    state = planned.state
    return {
        "session_id": planned.session.session_id,
        "layout": planned.session.layout,
        "created_at": rfc3339(state.created_at),
        "updated_at": rfc3339(state.updated_at),
        "message_count": state.message_count,
        "tags": list(planned.tags),
        "documents": dict(planned.documents),
    }


def _planned(values: Mapping[str, Any]) -> PlannedSession:
    """The session of a line. Raises KeyError, TypeError or ValueError for anything else."""
    ref = SessionRef(values["layout"], values["session_id"])
    tags, documents, count = values["tags"], values["documents"], values["message_count"]
    is_valid = _are([*ref, *tags, *documents], str) and _are([count, *documents.values()], int)
    if not is_valid or not isinstance(tags, list):
        raise TypeError
    state = SessionState(_instant(values["created_at"]), _instant(values["updated_at"]), count)
    return PlannedSession(ref, state, tuple(tags), documents)


def _instant(text: str | None) -> datetime | None:
    return None if text is None else as_utc(datetime.fromisoformat(text))


def _are(values: Iterable[Any], kind: type) -> bool:
    return all(type(value) is kind for value in values)
