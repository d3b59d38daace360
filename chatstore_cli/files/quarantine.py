"""The quarantine: journal lines that cannot be stored, kept beside the reason, with every byte recoverable.

`quarantine.jsonl` has an object a line: `{id, source, line, offset, length, reason, at, number, raw | raw_file}`;
`raw` is Base64 of the bytes, `raw_file` names a file beside it for a line too long to be held in memory.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.quarantine import QuarantinedLine

FILE_NAME = "quarantine.jsonl"


class Quarantine:
    """The quarantine of one journal folder. A line that is in it already is not put there again."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        self._lock = threading.Lock()
        self._known: set[str] | None = None
        self._descriptor: int | None = None

    def knows(self, source: str, offset: int, raw: bytes) -> bool:
        """Whether this line of this file is in quarantine."""
        with self._lock:
            return _id_of(source, offset, [raw]) in self._ids()

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
        """Keep a line; False where this line of this file was in quarantine already."""
        quarantine_id = _id_of(source, offset, [raw])
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
        """Keep a line that is too long for memory, in a file of its own."""
        quarantine_id = _id_of(source, offset, [str(length).encode()])
        target = self.path.parent / f"quarantine-{quarantine_id}.bin"
        with self._lock:
            if quarantine_id in self._ids():
                return False
        self._write_pieces(target, pieces)
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
            "source": printable_source(source),
            "line": number,
            "offset": offset,
            "reason": reason.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"),
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
        """Every line in quarantine, in the order of their arrival."""
        for entry in self._entries():
            raw = base64.b64decode(entry["raw"]) if "raw" in entry else None
            yield QuarantinedLine(
                entry["id"], entry["source"], entry["line"], entry["offset"], entry["length"],
                entry["reason"], entry["at"], raw, entry.get("raw_file"), entry.get("identity"),
            )  # fmt: skip

    def remove(self, quarantine_ids: set[str]) -> None:
        """Take lines out, once they are stored: the file is written anew beside and then renamed.

        Another process may be adding to it: its lock is held meanwhile, and whoever waited for that opens it again.
        """
        with self._lock:
            beside = self.path.with_suffix(".new")
            try:
                descriptor = self._locked()
                try:
                    kept = [entry for entry in self._entries() if entry["id"] not in quarantine_ids]
                    with open(beside, "wb", opener=_private) as stream:
                        stream.writelines(orjson.dumps(entry) + b"\n" for entry in kept)
                        stream.flush()
                        os.fsync(stream.fileno())
                    beside.replace(self.path)
                finally:
                    self._close(descriptor)  # of the file that is no longer there
            except OSError as error:
                raise ChatstoreError(what=f"{self.path}: {error.strerror or error}") from error
            self._known = None

    def _entries(self) -> Iterator[dict[str, Any]]:
        try:
            with self.path.open("rb") as stream:
                for line in stream:
                    try:
                        yield orjson.loads(line)
                    except ValueError:
                        continue  # a line torn by a crash of ours: its source line will be put here again
        except FileNotFoundError:
            return

    def _ids(self) -> set[str]:
        if self._known is None:
            self._known = {entry["id"] for entry in self._entries()}
        return self._known

    def sync(self) -> None:
        """Put on disk what was added; before that, no ledger may pass over the lines."""
        with self._lock:
            if self._descriptor is None:
                return
            try:
                os.fsync(self._descriptor)
            except OSError as error:
                raise _unkept(self.path, error) from error
            finally:
                os.close(self._descriptor)
                self._descriptor = None

    def _append(self, line: bytes) -> None:
        try:
            descriptor = self._locked()
        except OSError as error:
            raise _unkept(self.path, error) from error
        size = os.fstat(descriptor).st_size
        try:
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = b"\n" + line  # close off what a crash tore
            while line:
                line = line[os.write(descriptor, line) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, size)
            self._close(descriptor)
            raise _unkept(self.path, error) from error
        fcntl.flock(descriptor, fcntl.LOCK_UN)

    def _locked(self) -> int:
        """The file that the path names, open, and held against other processes."""
        while True:
            if self._descriptor is None:
                self._descriptor = _private(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
            descriptor = self._descriptor
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), self.path.stat()):
                    return descriptor
            self._close(descriptor)  # another process has put a new one in its place

    def _close(self, descriptor: int) -> None:
        os.close(descriptor)  # which lets go of its lock
        self._descriptor = None

    def _write_pieces(self, target: Path, pieces: Iterable[bytes]) -> None:
        try:
            with open(target, "wb", opener=_private) as stream:
                stream.writelines(pieces)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            target.unlink(missing_ok=True)
            raise _unkept(target, error) from error


def _private(path: str | Path, flags: int) -> int:
    return os.open(path, flags, 0o600)


def printable_source(source: str) -> str:
    """A journal's name as the quarantine has it, also where the name is no text."""
    return source.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _id_of(source: str, offset: int, parts: Iterable[bytes]) -> str:
    digest = hashlib.blake2b(f"{offset}:".encode() + os.fsencode(source) + b"\0", digest_size=8)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def _unkept(path: Path, error: OSError) -> ChatstoreError:
    return ChatstoreError(
        what=f"{path}: {error.strerror or error}: a bad line could not be kept.",
        hint="Nothing is lost: it is still in its journal. Make room or give access, and run it again.",
    )
