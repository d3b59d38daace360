"""The file name of a session's journal: the session's id, escaped so that the name cannot lead to another folder.

Lower-case letters, digits, `-`, `_` and dots are kept. Every other byte of the UTF-8 becomes `%` and two hexadecimal
digits, upper case too, because a file system may not distinguish `A` from `a`. A name that is too long for a file system
is split into folders: every part but the last ends with `~`, which is always escaped in an id.
"""

from __future__ import annotations

import re
from pathlib import Path

from chatstore_cli.domain.errors import BadValue
from chatstore_cli.files.journal_names import SUFFIX, JournalName, read_journal_name

LONGEST_SESSION_ID = 1_000
"""Bytes of UTF-8. Escaped, and with its folder, that stays below the 4,096 bytes of a path."""

_PART_LENGTH = 200
_TO_ESCAPE = re.compile(rb"[^a-z0-9_.-]")
_ESCAPED = re.compile(rb"%([0-9a-f]{2})")


def journal_path(folder: Path, session_id: str) -> Path:
    """The journal of a session. Raises BadValue for an id that is empty, too long, or has a lone surrogate."""
    return folder.joinpath(*_parts(session_id))


def session_of(folder: Path, journal: Path) -> str | None:
    """The session of a journal, also of a rotated or compressed one; None if the name is not an escaped id."""
    try:
        parts = journal.relative_to(folder).parts
    except ValueError:
        return None
    last = read_journal_name(parts[-1])
    if last is None or not all(part.endswith("~") for part in parts[:-1]):
        return None
    escaped = "".join([*(part[:-1] for part in parts[:-1]), last.stem])
    try:
        session_id = _ESCAPED.sub(lambda match: bytes.fromhex(match[1].decode()), escaped.encode()).decode()
        return session_id if _parts(session_id)[:-1] == list(parts[:-1]) and _escape(session_id) == escaped else None
    except (UnicodeError, BadValue):
        return None


def journals_of(folder: Path, session_id: str) -> list[Path]:
    """The existing journals of one session, those of a chain (see `JournalName`) together and oldest first.

    Includes journals of applications that use the id as the name without escaping it, if that is safe.
    """
    stems = [journal_path(folder, session_id)]
    plain = folder / f"{session_id}{SUFFIX}"
    if not re.search(r"[/\0]", session_id) and len(plain.name.encode()) <= 255 and plain != stems[0]:
        stems.insert(0, plain)
    found: list[Path] = []
    for path in stems:
        stem = path.name.removesuffix(SUFFIX)
        try:
            names = [(name, file) for file in path.parent.iterdir() if (name := _of_stem(file.name, stem))]
            found.extend(file for _, file in sorted(names, key=lambda pair: pair[0][1:]) if file.is_file())
        except OSError:
            continue
    return list(dict.fromkeys(found))


def printable(text: str) -> str:
    """The text with a `\\x..` for each byte that is not UTF-8, which a path may have: ledger and quarantine accept text only."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _of_stem(file_name: str, stem: str) -> JournalName | None:
    if not file_name.startswith(stem):  # for most files of a large folder, and cheaper than the rest
        return None
    name = read_journal_name(file_name)
    return name if name is not None and name.stem == stem else None


def _parts(session_id: str) -> list[str]:
    escaped = _escape(session_id)
    pieces = [escaped[start : start + _PART_LENGTH] for start in range(0, len(escaped), _PART_LENGTH)]
    return [*(f"{piece}~" for piece in pieces[:-1]), pieces[-1] + SUFFIX]


def _escape(session_id: str) -> str:
    try:
        encoded = session_id.encode()
    except UnicodeEncodeError as error:
        raise BadValue(name="session_id", value=session_id[:60], expected="text that can be stored") from error
    if not 0 < len(encoded) <= LONGEST_SESSION_ID:
        expected = f"from 1 to {LONGEST_SESSION_ID:,} bytes long"
        raise BadValue(name="session_id", value=session_id[:60], expected=expected)
    escaped = _TO_ESCAPE.sub(lambda match: b"%%%02x" % match[0][0], encoded).decode()
    if len(escaped) > _PART_LENGTH:
        return escaped.replace(".", "%2e")  # a part that begins with a dot would be a hidden folder
    return "%2e" + escaped[1:] if escaped.startswith(".") else escaped
