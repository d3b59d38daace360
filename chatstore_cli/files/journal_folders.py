"""Finding journals: the files that a path names or that a folder contains."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from chatstore_cli.domain.errors import ChatstoreError, NotFound, WrongUse
from chatstore_cli.domain.field_mapping import FieldMapping
from chatstore_cli.domain.ignored_files import IgnoredCount, IgnoreReason
from chatstore_cli.files.demo_folder import MARK
from chatstore_cli.files.journal_names import read_journal_name
from chatstore_cli.files.journal_reader import JournalFile
from chatstore_cli.files.ownership import access_hint
from chatstore_cli.files.session_names import printable, session_of
from chatstore_cli.files.state_folder import BESIDE

FileIdentity = tuple[int, int]
"""Device and inode."""

_OURS = {BESIDE, MARK}


@dataclass
class FoundJournals:
    """The journals that paths name, by the folder whose lock they need; None is standard input (`-`)."""

    by_folder: dict[Path | None, list[JournalFile]] = field(default_factory=dict)
    ignored: IgnoredCount = field(default_factory=IgnoredCount)


def find_journals(paths: list[str], mapping: FieldMapping | None = None) -> FoundJournals:
    """The journals that the paths name.

    A folder gives every file with a journal's name, also in subfolders and linked folders. A file that is named twice
    counts once. Raises NotFound for a path that does not exist, WrongUse for a named pipe, device or socket.
    """
    found = FoundJournals()
    known: set[Path] = set()
    visited = named_folders(map(Path, paths))
    for name in paths:
        path = Path(name)
        if name == "-":
            found.by_folder[None] = [JournalFile(None, mapping)]
        elif path.is_dir():
            folder = path.resolve()
            journals = [file for file in scan_folder(folder, found.ignored, visited) if file not in known]
            known.update(journals)
            found.by_folder.setdefault(folder, []).extend(JournalFile(file, mapping) for file in journals)
        elif path.is_file():
            path = path.resolve()
            if path not in known:
                known.add(path)
                found.by_folder.setdefault(path.parent, []).append(JournalFile(path, mapping))
        elif path.exists():
            what = f"{name} is not a regular file."
            raise WrongUse(what=what, hint="Name a journal or a folder. Give - to read standard input.")
        else:
            raise NotFound(
                kind_of_thing="journal file or folder",
                name=name,
                where="",
                hint="Give the path of a journal, or set mongo.cache.disk_path.",
            )
    return found


def named_folders(paths: Iterable[Path]) -> set[FileIdentity]:
    """The folders among the paths. No scan follows a link to one of them, because it is scanned by itself."""
    return {_identity(path) for path in paths if path.is_dir()}


def scan_folder(
    folder: Path,
    ignored: IgnoredCount,
    visited: set[FileIdentity] | None = None,
    on_error: Callable[[OSError], None] | None = None,
) -> list[Path]:
    """The files with a journal's name in a resolved folder and its subfolders, sorted; `ignored` counts the rest.

    Each linked folder is scanned once, after all others: a journal has its real path if that is below the folder. A link
    to a folder above is a circle and is not followed, nor is one to a folder in `visited`: several scans share that set,
    which begins as `named_folders`. `on_error` is called for a subfolder that cannot be read. Without it the first one
    raises ChatstoreError, so that its journals are not left out silently.
    """
    journals: list[Path] = []
    visited = set() if visited is None else visited
    linked = [folder]
    while linked:
        pending = [linked.pop(0)]
        is_linked = pending[0] != folder
        while pending:
            place = pending.pop()
            try:
                identity = _identity(place)
                if is_linked and (identity in visited or _is_circle(place, folder)):
                    continue
                with os.scandir(place) as listing:
                    entries = sorted(listing, key=lambda entry: entry.name)
            except FileNotFoundError:
                continue  # a folder that was removed just now has no journals
            except OSError as error:
                (on_error or _raise_unreadable)(error)
                continue
            visited.add(identity)
            read = [entry for entry in entries if entry.name not in _OURS and not _is_ignored(entry, folder, ignored)]
            folders = [entry for entry in read if _is_folder(entry)]
            journals += [place / entry.name for entry in read if not _is_folder(entry)]
            linked += [place / entry.name for entry in folders if entry.is_symlink()]
            pending += [place / entry.name for entry in reversed(folders) if not entry.is_symlink()]
    return journals


def _is_ignored(entry: os.DirEntry[str], folder: Path, ignored: IgnoredCount) -> bool:
    """Whether it is neither a journal nor a folder that may have some. It is then counted."""
    if _is_folder(entry):
        reason = IgnoreReason.HIDDEN_FOLDER if entry.name.startswith(".") else None
    elif read_journal_name(entry.name) is not None:
        reason = None
    else:
        is_plain = entry.is_symlink() or entry.is_file(follow_symlinks=False)
        reason = IgnoreReason.OTHER_NAME if is_plain else IgnoreReason.NOT_REGULAR
    if reason is not None:
        ignored.add(reason, printable(os.path.relpath(entry.path, folder)))
    return reason is not None


def session_named(folder: Path, journal: Path) -> str:
    """The session by the name of its journal. If the name is not an escaped id, it is taken as the id."""
    session_id = session_of(folder, journal)
    if session_id is not None:
        return session_id
    name = read_journal_name(journal.name)
    return journal.name if name is None else name.stem


def journals_by_session(folder: Path) -> Counter[str]:
    """How many journals each session has in a folder, by their names as in `journals_of`. Empty journals do not count.

    A subfolder that cannot be read is left out.
    """
    numbers: Counter[str] = Counter()
    folder = folder.resolve()
    for path in scan_folder(folder, IgnoredCount(), on_error=lambda _: None):
        if not is_empty(path):
            name = read_journal_name(path.name) if path.parent == folder else None
            names = {session_of(folder, path), None if name is None else name.stem}
            numbers.update(each for each in names if each is not None)
    return numbers


def is_empty(path: Path) -> bool:
    """Whether the file has no bytes, or does not exist any more."""
    try:
        return path.stat().st_size == 0
    except OSError:
        return True


def _is_circle(place: Path, folder: Path) -> bool:
    if not place.is_symlink():
        return False
    target = place.resolve()
    return folder.is_relative_to(target) or place.parent.resolve().is_relative_to(target)


def _identity(place: Path) -> FileIdentity:
    status = place.stat()
    return status.st_dev, status.st_ino


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle, or one that this user cannot follow
        return False


def _raise_unreadable(error: OSError) -> None:
    what = f"{error.filename}: {error.strerror or error}"
    hint = access_hint(Path(error.filename or "."), error, "Name the journals that can be read.")
    raise ChatstoreError(what=what, hint=hint) from error
