"""The file of a session's journal: its id, escaped so that it can be read back from the name, and never leads elsewhere.

Lower-case letters, digits, `-`, `_` and dots stand for themselves, every other byte of the UTF-8 is `%` and two digits:
upper case too, for a file system may take `A` and `a` for the same. A name too long for a file system goes on in a
folder: every part but the last ends with `~`, which in an id is always escaped.
"""

from __future__ import annotations

import re
from pathlib import Path

from chatstore_cli.domain.errors import BadValue

SUFFIX = ".jsonl"
LONGEST_SESSION_ID = 1_000
"""Bytes of UTF-8: escaped, with the folder before it, that stays below the 4,096 of a path."""

_PART = 200
_TO_ESCAPE = re.compile(rb"[^a-z0-9_.-]")
_ESCAPED = re.compile(rb"%([0-9a-f]{2})")
_JOURNAL = re.compile(r"(.+)\.jsonl(\.\d+)?(\.gz)?", re.DOTALL)


def journal_path(folder: Path, session_id: str) -> Path:
    """The journal of a session. Raises BadValue for an id that is empty, too long, or holds a lone surrogate."""
    return folder.joinpath(*_parts(session_id))


def session_of(folder: Path, journal: Path) -> str | None:
    """The session whose journal this is, also rotated (`.jsonl.1`) or compressed; None for a name of another kind."""
    try:
        parts = journal.relative_to(folder).parts
    except ValueError:
        return None
    last = _JOURNAL.fullmatch(parts[-1])
    if last is None or not all(part.endswith("~") for part in parts[:-1]):
        return None
    escaped = "".join([*(part[:-1] for part in parts[:-1]), last[1]])
    try:
        session_id = _ESCAPED.sub(lambda found: bytes.fromhex(found[1].decode()), escaped.encode()).decode()
        return session_id if _parts(session_id)[:-1] == list(parts[:-1]) and _escape(session_id) == escaped else None
    except (UnicodeError, BadValue):
        return None


def journals_of(folder: Path, session_id: str) -> list[Path]:
    """The journals there are of one session, oldest first: rotated ones, then the one that is written to.

    Those of an application that did not escape its ids (FACTS D) are among them, where the id is harmless as a name.
    """
    stems = [journal_path(folder, session_id)]
    plain = folder / f"{session_id}{SUFFIX}"
    if not re.search(r"[/\0]", session_id) and len(plain.name.encode()) <= 255 and plain != stems[0]:
        stems.insert(0, plain)
    found: list[Path] = []
    for stem in stems:
        pattern = re.compile(re.escape(stem.name) + r"(\.\d+)?(\.gz)?")
        try:
            names = [path for path in stem.parent.iterdir() if pattern.fullmatch(path.name) and path.is_file()]
        except OSError:
            continue
        found.extend(sorted(names, key=_age, reverse=True))
    return list(dict.fromkeys(found))


def _age(path: Path) -> int:
    rotated = re.search(r"\.jsonl\.(\d+)", path.name)
    return int(rotated[1]) if rotated else 0


def _parts(session_id: str) -> list[str]:
    escaped = _escape(session_id)
    pieces = [escaped[at : at + _PART] for at in range(0, len(escaped), _PART)]
    return [*(f"{piece}~" for piece in pieces[:-1]), pieces[-1] + SUFFIX]


def _escape(session_id: str) -> str:
    try:
        encoded = session_id.encode()
    except UnicodeEncodeError as error:
        raise BadValue(name="session_id", value=session_id[:60], expected="text that can be stored") from error
    if not 0 < len(encoded) <= LONGEST_SESSION_ID:
        expected = f"from 1 to {LONGEST_SESSION_ID:,} bytes long"
        raise BadValue(name="session_id", value=session_id[:60], expected=expected)
    escaped = _TO_ESCAPE.sub(lambda found: b"%%%02x" % found[0][0], encoded).decode()
    if len(escaped) > _PART:
        return escaped.replace(".", "%2e")  # no part may begin with a dot: it would be a hidden folder
    return "%2e" + escaped[1:] if escaped.startswith(".") else escaped
