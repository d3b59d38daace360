"""The quarantine: journal lines that cannot be stored, with the reason and every byte of the line.

Each line of `quarantine.jsonl` is an object `{id, source, line, offset, length, reason, at, identity, raw | raw_file}`.
`raw` is the line in Base64; `raw_file` names a file in the same folder for a line that is too long to be held in memory.
Resolved lines are in a file of their own (see quarantine_resolutions.py).
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import os
import threading
from collections.abc import Iterable, Iterator, Set
from pathlib import Path
from typing import Any

import orjson

from chatstore_cli.core.regular_files import regular_stream
from chatstore_cli.domain.errors import ChatstoreError, NotAllowed
from chatstore_cli.domain.quarantine import NumberedLine, QuarantinedLine, Resolution
from chatstore_cli.files.ownership import access_hint, open_private
from chatstore_cli.files.quarantine_resolutions import Resolutions
from chatstore_cli.files.session_names import printable

FILE_NAME = "quarantine.jsonl"
_PIECE = 1 << 20


class Quarantine:
    """The quarantine of one journal folder. A line is added only once."""

    def __init__(self, folder: Path, resolutions: Resolutions | None = None) -> None:
        """`resolutions`: those of the folder, if its lock has been held since they were read."""
        self.path = folder / FILE_NAME
        self._resolutions = resolutions or Resolutions(folder)
        self._lock = threading.Lock()
        self._known: set[str] | None = None
        self._places: dict[str, list[int]] = {}
        """Where the lines of each journal are in the file, as far as it was read for `_known`."""
        self._descriptor: int | None = None

    def knows(self, source: str, offset: int, raw: bytes) -> bool:
        """Whether this line of this journal is in quarantine."""
        with self._lock:
            return _id_of(source, offset, raw) in self._ids()

    def add(
        self,
        source: str,
        number: int,
        offset: int,
        raw: bytes,
        reason: str,
        quarantined_at: str,
        identity: str | None = None,
    ) -> bool:
        """Quarantine a line. False if this line of this journal is already in quarantine."""
        quarantine_id = _id_of(source, offset, raw)
        record = {"length": len(raw), "identity": identity, "raw": base64.b64encode(raw).decode()}
        return self._add(quarantine_id, source, number, offset, reason, quarantined_at, record)

    def add_large(
        self,
        source: str,
        number: int,
        offset: int,
        length: int,
        pieces: Iterable[bytes],
        reason: str,
        quarantined_at: str,
    ) -> bool:
        """Quarantine a line that is too long for memory, in a separate file."""
        quarantine_id = _id_of(source, offset, str(length).encode())
        target = self.path.parent / f"quarantine-{quarantine_id}.bin"
        with self._lock:
            if quarantine_id in self._ids():
                return False
        try:
            _write_synced(target, pieces)
        except OSError as error:
            target.unlink(missing_ok=True)
            raise _cannot_quarantine(target, error) from error
        record = {"length": length, "identity": None, "raw_file": target.name}
        return self._add(quarantine_id, source, number, offset, reason, quarantined_at, record)

    def _add(
        self,
        quarantine_id: str,
        source: str,
        number: int,
        offset: int,
        reason: str,
        quarantined_at: str,
        record: dict[str, Any],
    ) -> bool:
        entry = {
            "id": quarantine_id,
            "source": printable(source),
            "line": number,
            "offset": offset,
            "reason": printable(reason),
            "at": quarantined_at,
            **record,
        }
        with self._lock:
            known = self._ids()
            if quarantine_id in known:
                return False
            self._append(orjson.dumps(entry) + b"\n")
            known.add(quarantine_id)
        return True

    def lines(self) -> Iterator[QuarantinedLine]:
        """Every line in quarantine, in the order in which they were added. Raises ChatstoreError if it cannot be read."""
        for entry in self._entries():
            if (line := self._open_line(entry)) is not None:
                yield line

    def lines_of(self, source: str) -> Iterator[QuarantinedLine]:
        """The lines of this journal in quarantine, except those added since this object first read the file."""
        with self._lock:
            self._ids()
        places = self._places.get(printable(source))
        if not places:
            return
        try:
            with regular_stream(self.path) as stream:
                for place in places:
                    stream.seek(place)
                    line = self._open_line(orjson.loads(stream.readline()))
                    if line is not None:
                        yield line
        except OSError as error:
            raise ChatstoreError(what=f"Cannot read {self.path}: {error.strerror or error}.") from error

    def _open_line(self, entry: dict[str, Any]) -> QuarantinedLine | None:
        resolution = self._resolutions.get(entry["id"])
        if resolution is not None and resolution.edited is None:
            return None  # dropped, and a kill came before its removal
        raw = base64.b64decode(entry["raw"]) if "raw" in entry else None
        return QuarantinedLine(
            entry["id"], entry["source"], entry["line"], entry["offset"], entry["length"],
            entry["reason"], entry["at"], raw, entry.get("raw_file"), entry.get("identity"), resolution,
        )  # fmt: skip

    def resolved_offsets(self, source: str) -> Set[int]:
        """Where the lines of this journal begin that were dropped or edited."""
        return self._resolutions.offsets(printable(source))

    def resolution(self, source: str, offset: int, raw: bytes) -> Resolution | None:
        """How this line of this journal was resolved; None if it was not."""
        return self._resolutions.get(_id_of(source, offset, raw))

    def resolution_of_large(self, source: str, offset: int, length: int) -> Resolution | None:
        """The same for a line that is too long for memory."""
        return self._resolutions.get(_id_of(source, offset, str(length).encode()))

    def drop(self, lines: Iterable[QuarantinedLine]) -> None:
        """Remove lines that are never to be stored. No later flush quarantines them again."""
        lines = list(lines)
        if not lines:
            return
        self._resolutions.remember(
            Resolution(line.quarantine_id, line.source, line.offset, line.identity is not None) for line in lines
        )
        self.remove({line.quarantine_id for line in lines})

    def begin_edit(self, resolution: Resolution) -> None:
        """Remember an edited line before it is stored, so that no kill can make it another message.

        Once it is stored, `remove` ends the edit. If it cannot be stored, `withdraw_edits` does.
        """
        self._resolutions.remember([resolution])

    def withdraw_edits(self, quarantine_ids: set[str]) -> None:
        """Forget edited lines that could not be stored. The lines in quarantine are as they were."""
        self._resolutions.forget(quarantine_ids)

    def remove(self, quarantine_ids: set[str]) -> None:
        """Remove lines, once they are stored: a new file replaces the old one.

        The file's lock is held, because another process may be adding lines. A process that waited for the lock opens
        the new file.
        """
        raw_files: list[str] = []
        with self._lock:
            new_path = self.path.with_suffix(".new")
            try:
                descriptor = self._locked()
                try:
                    _write_synced(new_path, self._kept(quarantine_ids, raw_files))
                    new_path.replace(self.path)
                    for name in raw_files:
                        (self.path.parent / Path(name).name).unlink(missing_ok=True)
                finally:
                    self._close(descriptor)  # of the file that was replaced
            except OSError as error:
                raise ChatstoreError(what=f"{self.path}: {error.strerror or error}") from error
            self._known = None

    def _kept(self, removed: set[str], raw_files: list[str]) -> Iterator[bytes]:
        """The lines of the file without those removed, whose own files are added to `raw_files`."""
        for entry in self._entries():
            if entry["id"] not in removed:
                yield orjson.dumps(entry) + b"\n"
            elif "raw_file" in entry:
                raw_files.append(entry["raw_file"])

    def _entries(self) -> Iterator[dict[str, Any]]:
        return (entry for _, entry in self._placed_entries())

    def _placed_entries(self) -> Iterator[tuple[int, dict[str, Any]]]:
        place = 0
        try:
            with regular_stream(self.path) as stream:
                for line in stream:
                    place += len(line)
                    try:
                        yield place - len(line), orjson.loads(line)
                    except ValueError:
                        continue  # cut off by a crash: its source line will be quarantined again
        except FileNotFoundError:
            return
        except PermissionError as error:
            what = f"Cannot read {self.path}: {error.strerror}."
            raise NotAllowed(what=what, hint=access_hint(self.path, error)) from error
        except OSError as error:
            raise ChatstoreError(what=f"Cannot read {self.path}: {error.strerror or error}.") from error

    def _ids(self) -> set[str]:
        if self._known is None:
            known, self._places = set(), {}
            for place, entry in self._placed_entries():
                known.add(entry["id"])
                self._places.setdefault(entry["source"], []).append(place)
            self._known = known
        return self._known

    def sync(self) -> None:
        """Write the added lines to the disk. No ledger may pass the lines before that."""
        with self._lock:
            if self._descriptor is None:
                return
            try:
                os.fsync(self._descriptor)
            except OSError as error:
                raise _cannot_quarantine(self.path, error) from error
            finally:
                os.close(self._descriptor)
                self._descriptor = None

    def _append(self, line: bytes) -> None:
        try:
            descriptor = self._locked()
        except OSError as error:
            raise _cannot_quarantine(self.path, error) from error
        size = os.fstat(descriptor).st_size
        try:
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = b"\n" + line  # end a line that a crash cut off
            while line:
                line = line[os.write(descriptor, line) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, size)
            self._close(descriptor)
            raise _cannot_quarantine(self.path, error) from error
        fcntl.flock(descriptor, fcntl.LOCK_UN)

    def _locked(self) -> int:
        """The open file that the path names, locked against other processes."""
        while True:
            if self._descriptor is None:
                self._descriptor = open_private(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
            descriptor = self._descriptor
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), self.path.stat()):
                    return descriptor
            self._close(descriptor)  # another process has replaced it

    def _close(self, descriptor: int) -> None:
        os.close(descriptor)  # which releases its lock
        self._descriptor = None


def content_of(numbered: NumberedLine) -> Iterator[bytes]:
    """The bytes of a quarantined line, in pieces. Raises ChatstoreError if its file cannot be read."""
    line = numbered.line
    if line.raw is not None:
        yield line.raw
        return
    path = Path(numbered.folder) / Path(line.raw_file or "").name
    try:
        with regular_stream(path) as stream:
            while piece := stream.read(_PIECE):
                yield piece
    except OSError as error:
        raise ChatstoreError(what=f"Cannot read {path}: {error.strerror or error}.") from error


def _write_synced(path: Path, pieces: Iterable[bytes]) -> None:
    with open(path, "wb", opener=open_private) as stream:
        stream.writelines(pieces)
        stream.flush()
        os.fsync(stream.fileno())


def _id_of(source: str, offset: int, content: bytes) -> str:
    return hashlib.blake2b(f"{offset}:".encode() + os.fsencode(source) + b"\0" + content, digest_size=8).hexdigest()


def _cannot_quarantine(path: Path, error: OSError) -> ChatstoreError:
    to_do = access_hint(path, error, "Free space or grant access, and run the command again.")
    return ChatstoreError(
        what=f"Cannot quarantine a line in {path}: {error.strerror or error}.",
        hint=f"Nothing is lost: the line is still in its journal. {to_do}",
    )
