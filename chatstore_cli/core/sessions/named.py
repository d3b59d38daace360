"""The sessions that a command names: ids from the command line, or lines of ids or of `sessions list -o jsonl`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from chatstore_cli.core.readers import find_session
from chatstore_cli.domain.errors import NotFound, WrongUse
from chatstore_cli.domain.quantities import quantity
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.session_reader import SessionReader

LONGEST_LINE = 1 << 20
"""Bytes. A row of `sessions list` is much shorter."""
MOST_NAMED = 10_000
"""The most sessions that a command without a plan file changes."""
_MOST_MISSING_SHOWN = 100
_LONGEST_SHOWN = 100


class SessionName(NamedTuple):
    """The id of a session, and its layout if that is given."""

    session_id: str
    layout: str | None = None


def names_in(lines: Iterable[bytes], source: str = "stdin") -> Iterator[SessionName]:
    """The sessions of these lines: an id a line, or a JSON object with `session_id` and `layout`. Blank lines are skipped.

    Raises WrongUse, with the number of the line, for a line that is neither.
    """
    for number, line in enumerate(lines, 1):
        where = f"Line {number:,} of {source}"
        if len(line) > LONGEST_LINE:
            raise WrongUse(what=f"{where} has more than {LONGEST_LINE >> 20} MiB.")
        try:
            text = line.decode().rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise WrongUse(what=f"{where} is not UTF-8.") from error
        if not text.strip():
            continue
        yield _name_of_row(text, where) if text.lstrip().startswith("{") else SessionName(text)


def _name_of_row(text: str, where: str) -> SessionName:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        hint = 'To name an id that begins with {, write {"session_id": "..."}.'
        raise WrongUse(what=f"{where} is not JSON.", hint=hint) from error
    session_id, layout = row.get("session_id"), row.get("layout")
    if not isinstance(session_id, str) or not session_id or not (layout is None or isinstance(layout, str)):
        hint = "Give rows of: chatstore sessions list -o jsonl."
        raise WrongUse(what=f"{where} has no session_id and layout of a session.", hint=hint)
    return SessionName(session_id, layout)


def find_named(
    readers: Sequence[SessionReader], names: Iterable[SessionName]
) -> Iterator[tuple[SessionReader, Session]]:
    """The sessions with their readers, in the order of the names. If any is missing, raises NotFound at the end, which names them.

    Raises Conflict if two layouts have an id and none is given, and WrongUse for an unknown layout.
    """
    by_layout = {reader.layout: reader for reader in readers}
    missing: list[str] = []
    number_missing = number = 0
    hint = None
    for name in names:
        number += 1
        if name.layout is not None and name.layout not in by_layout:
            expected = ", ".join(by_layout)
            raise WrongUse(
                what=f"Session {name.session_id!r} is in the layout {name.layout!r}, and not in {expected}.",
                hint="For the layouts that are used, see: chatstore config show",
            )
        among = readers if name.layout is None else [by_layout[name.layout]]
        try:
            yield find_session(among, name.session_id)
        except NotFound as error:
            number_missing += 1
            hint = error.hint
            if len(missing) < _MOST_MISSING_SHOWN:
                missing.append(_shown(name.session_id))
    if number_missing:
        rest = f" and {number_missing - len(missing):,} more" if number_missing > len(missing) else ""
        raise MissingSessions(
            what=f"{number_missing:,} of {quantity(number, 'session')} do not exist: {', '.join(missing)}{rest}.",
            hint=hint,
        )


class MissingSessions(NotFound):
    """{what} Nothing was changed."""

    def __init__(self, *, what: str, hint: str | None) -> None:
        """`what` names the sessions that do not exist."""
        super(NotFound, self).__init__(what=what, hint=hint)


def _shown(session_id: str) -> str:
    return repr(session_id if len(session_id) <= _LONGEST_SHOWN else f"{session_id[:_LONGEST_SHOWN]}…")
