"""The resolved lines of a quarantine: those that were dropped, and those that an edited line replaces.

Each line of `quarantine-resolved.jsonl` is an object `{id, source, offset, counted, edited, identity}`. `edited` is the
edited line in Base64, null if the line was dropped. The file changes only under the lock of the journal folder.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable
from pathlib import Path

import orjson

from chatstore_cli.core.regular_files import regular_stream
from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.quarantine import Resolution
from chatstore_cli.files.ownership import access_hint, open_private

FILE_NAME = "quarantine-resolved.jsonl"


class Resolutions:
    """The resolved lines of one journal folder, by their quarantine id."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        self._by_id: dict[str, Resolution] | None = None
        self._offsets: dict[str, set[int]] = {}

    def get(self, quarantine_id: str) -> Resolution | None:
        """How a line was resolved; None if it was not."""
        return self._loaded().get(quarantine_id)

    def offsets(self, source: str) -> set[int]:
        """Where the resolved lines of a journal begin."""
        self._loaded()
        return self._offsets.get(source, set())

    def remember(self, resolutions: Iterable[Resolution]) -> None:
        """Remember resolved lines on the disk. Raises ChatstoreError if that fails; then nothing has changed."""
        self._save({**self._loaded(), **{resolution.quarantine_id: resolution for resolution in resolutions}})

    def forget(self, quarantine_ids: set[str]) -> None:
        """Forget how lines were resolved."""
        by_id = self._loaded()
        if not quarantine_ids.isdisjoint(by_id):
            self._save({name: resolution for name, resolution in by_id.items() if name not in quarantine_ids})

    def _loaded(self) -> dict[str, Resolution]:
        if self._by_id is None:
            self._keep({resolution.quarantine_id: resolution for resolution in self._read()})
        assert self._by_id is not None
        return self._by_id

    def _keep(self, by_id: dict[str, Resolution]) -> None:
        self._by_id, self._offsets = by_id, {}
        for resolution in by_id.values():
            self._offsets.setdefault(resolution.source, set()).add(resolution.offset)

    def _read(self) -> Iterable[Resolution]:
        try:
            with regular_stream(self.path) as stream:
                for line in stream:
                    record = orjson.loads(line)
                    edited = None if record["edited"] is None else base64.b64decode(record["edited"])
                    place = record["id"], record["source"], record["offset"]
                    yield Resolution(*place, record["counted"], edited, record["identity"])
        except (FileNotFoundError, PermissionError):
            return  # only a command that does not write reads another user's quarantine
        except OSError as error:
            raise ChatstoreError(what=f"Cannot read {self.path}: {error.strerror or error}.") from error
        except (ValueError, KeyError, TypeError) as error:
            # The file is replaced as a whole, so no crash damages it. Without it, dropped lines would be quarantined again.
            hint = "Restore it from a backup, or remove it: dropped lines are then quarantined again."
            raise ChatstoreError(what=f"Cannot read {self.path}: it is damaged.", hint=hint) from error

    def _save(self, by_id: dict[str, Resolution]) -> None:
        new_path = self.path.with_suffix(".new")
        try:
            with open(new_path, "wb", opener=open_private) as stream:
                stream.writelines(_as_line(resolution) for resolution in by_id.values())
                stream.flush()
                os.fsync(stream.fileno())
            new_path.replace(self.path)
            _sync_folder(self.path.parent)
        except OSError as error:
            what = f"Cannot write {self.path}: {error.strerror or error}."
            to_do = access_hint(self.path, error, "Free space or grant access, and run the command again.")
            raise ChatstoreError(what=what, hint=to_do) from error
        self._keep(by_id)


def _as_line(resolution: Resolution) -> bytes:
    record = {
        "id": resolution.quarantine_id,
        "source": resolution.source,
        "offset": resolution.offset,
        "counted": resolution.counted,
        "edited": None if resolution.edited is None else base64.b64encode(resolution.edited).decode(),
        "identity": resolution.identity,
    }
    return orjson.dumps(record) + b"\n"


def _sync_folder(folder: Path) -> None:
    """Write the folder's entries to the disk: an edit must be remembered before its line is stored."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
