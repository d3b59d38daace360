"""Finding journals: the files that a path names, or that a folder holds, with the folder that remembers them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from chatstore_cli.domain.errors import ChatstoreError, NotFound
from chatstore_cli.files.journal_reader import JournalFile
from chatstore_cli.files.session_names import SUFFIX, session_of
from chatstore_cli.files.state_folder import BESIDE

_JOURNAL_NAME = re.compile(r".+\.jsonl(\.\d+)?(\.gz)?")


def find_journals(paths: list[str]) -> dict[Path | None, list[JournalFile]]:
    """The journals that the paths name, by the folder whose lock they need; None is standard input (`-`).

    A folder gives its `*.jsonl`, rotated (`.jsonl.1`) and compressed (`.gz`) files, and those of its subfolders. A
    file named twice counts once. Raises NotFound for a path that is not there.
    """
    found: dict[Path | None, dict[Path | None, JournalFile]] = {}
    known: set[Path] = set()
    for name in paths:
        if name == "-":
            found.setdefault(None, {})[None] = JournalFile(None)
            continue
        path = Path(name)
        if path.is_dir():
            folder = path.resolve()
            journals = found.setdefault(folder, {})
            for journal in journals_below(folder):
                if journal not in known:
                    journals[journal] = JournalFile(journal)
                    known.add(journal)
        elif path.exists():
            path = path.resolve()
            if path not in known:
                found.setdefault(path.parent, {})[path] = JournalFile(path)
                known.add(path)
        else:
            raise NotFound(
                kind_of_thing="journal file or folder",
                name=name,
                where="",
                hint="Give the path of a journal, or set mongo.cache.disk_path.",
            )
    return {folder: list(journals.values()) for folder, journals in found.items()}


def journals_below(folder: Path, unreadable: Callable[[OSError], None] | None = None) -> list[Path]:
    """The journals in a folder and its subfolders, in order. `unreadable` is told of a subfolder that cannot be read.

    Without it, the first one is raised: its journals would be left out, and nobody would know.
    """
    found: list[Path] = []
    for place, folders, files in os.walk(folder, onerror=unreadable or _unreadable):
        folders[:] = sorted(name for name in folders if name != BESIDE and not name.startswith("."))
        found.extend(Path(place, name) for name in sorted(files) if is_journal_name(name))
    return found


def is_journal_name(name: str) -> bool:
    """Whether a file of this name in a folder is a journal, the one written to, a rotated or a compressed one."""
    return _JOURNAL_NAME.fullmatch(name) is not None


def session_named(folder: Path, journal: Path) -> str:
    """The session by the name of its journal; of an application that does not escape its ids, the name as it is."""
    session_id = session_of(folder, journal)
    return session_id if session_id is not None else journal.name.partition(SUFFIX)[0]


def _unreadable(error: OSError) -> None:
    raise ChatstoreError(
        what=f"{error.filename}: {error.strerror or error}",
        hint="Give access to it, or name the journals that can be read.",
    ) from error
