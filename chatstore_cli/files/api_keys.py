"""The file with the API keys of the server: digests only, readable by its owner alone."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from chatstore_cli.domain.api_keys import ApiKey, Right
from chatstore_cli.domain.errors import ChatstoreError, Conflict, NotAllowed
from chatstore_cli.domain.times import as_utc, format_instant
from chatstore_cli.files.atomic_file import new_file
from chatstore_cli.files.ownership import described_access

_LOCK_SECONDS = 10.0
_MAX_BYTES = 4 * 1024 * 1024
_DIGEST = re.compile("[0-9a-f]{64}")


class ApiKeyFile:
    """An ApiKeyStore in one file. The file is read again when it changes; a missing file has no keys."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._keys: tuple[ApiKey, ...] = ()

    def all(self) -> Sequence[ApiKey]:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            self._stamp, self._keys = None, ()
            return ()
        except OSError as error:
            raise self._unreadable(error) from error
        stamp = (found.st_ino, found.st_size, found.st_mtime_ns)
        if stamp != self._stamp:
            self._keys = self._read(found)
            self._stamp = stamp
        return self._keys

    def change(self, change: Callable[[Sequence[ApiKey]], Sequence[ApiKey]]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            with FileLock(f"{self._path}.lock", timeout=_LOCK_SECONDS, mode=0o600):
                keys = [_row(key) for key in change(self.all())]
                with new_file(self._path, force=True, private=True) as stream:
                    stream.write(json.dumps({"version": 1, "keys": keys}, indent=2).encode() + b"\n")
        except Timeout as error:
            what = f"Another process has been changing {self._path} for {_LOCK_SECONDS:g} seconds."
            raise Conflict(what=what, hint="Try again.") from error
        except PermissionError as error:
            raise NotAllowed(what=f"Cannot write {self._path}.", hint=described_access(self._path.parent)) from error

    def _read(self, found: os.stat_result) -> tuple[ApiKey, ...]:
        # A file that others can change gives them every right; one that they can read shows them who has keys.
        if not stat.S_ISREG(found.st_mode):
            raise NotAllowed(what=f"{self._path} is not a regular file, so its keys are not used.", hint="Delete it.")
        if found.st_uid != os.geteuid():
            what = f"{self._path} belongs to another user, so its keys are not used."
            raise NotAllowed(what=what, hint=described_access(self._path))
        if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            hint = f"Run: chmod 600 {self._path}"
            raise NotAllowed(
                what=f"{self._path} can be read or changed by others, so its keys are not used.", hint=hint
            )
        try:
            if found.st_size > _MAX_BYTES:
                raise ValueError("it is too large")
            document = json.loads(self._path.read_bytes())
            if document["version"] != 1:
                raise ValueError("it is of another version of chatstore")
            if not isinstance(document["keys"], list):
                raise ValueError("`keys` is not a list")
            return tuple(_key(row) for row in document["keys"])
        except OSError as error:
            raise self._unreadable(error) from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            hint = "Restore the file, or delete it and create new keys: chatstore serve keys create"
            raise ChatstoreError(what=f"{self._path} is not a file of keys: {error}.", hint=hint) from error

    def _unreadable(self, error: OSError) -> ChatstoreError:
        return NotAllowed(what=f"Cannot read {self._path}: {error.strerror}.", hint=described_access(self._path))


def _row(key: ApiKey) -> dict[str, Any]:
    return {
        "key_id": key.key_id,
        "name": key.name,
        "right": key.right.value,
        "tenants": None if key.tenants is None else list(key.tenants),
        "created_at": format_instant(key.created_at),
        "sha256": key.digest,
    }


def _key(row: dict[str, Any]) -> ApiKey:
    tenants = row["tenants"]
    if tenants is not None and not (isinstance(tenants, list) and all(isinstance(each, str) for each in tenants)):
        raise ValueError("`tenants` is not a list of texts")
    if not isinstance(row["sha256"], str) or not _DIGEST.fullmatch(row["sha256"]):
        raise ValueError("`sha256` is not a digest")
    return ApiKey(
        str(row["key_id"]),
        str(row["name"]),
        Right(row["right"]),
        None if tenants is None else tuple(tenants),
        as_utc(datetime.fromisoformat(row["created_at"])),
        str(row["sha256"]),
    )
