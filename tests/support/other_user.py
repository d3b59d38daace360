"""Runs Python code as another user, who may read only what the tests give to everybody."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

OTHER = "nobody"
REASON = "only root can become another user"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason=REASON)

_PRELUDE = """
import importlib, os, pkgutil, pwd, sys
import chatstore_cli
for module in pkgutil.walk_packages(chatstore_cli.__path__, "chatstore_cli."):
    if module.name.split(".")[1] in {"files", "core", "domain"}:
        importlib.import_module(module.name)  # the other user may be unable to read the package
user = pwd.getpwnam(sys.argv[1])
os.setgroups([])
os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
from pathlib import Path
from chatstore_cli.files.folder_lock import folder_lock, holder_of
from chatstore_cli.files.journal_reader import JournalFile
from chatstore_cli.files.ledger import Ledger
from chatstore_cli.files.quarantine import Quarantine
from chatstore_cli.files.journal_writer import JournalWriter
from chatstore_cli.files.state_folder import bookkeeping_folder, existing_bookkeeping_folders
from chatstore_cli.wiring.journals import bookkeeping_notices, journal_folder
journals, state = Path(sys.argv[2]) / "journals", str(Path(sys.argv[2]) / "state")
"""


@contextlib.contextmanager
def shared_folder() -> Iterator[Path]:
    """A folder that every user can read, with `journals` in it. pytest's own are private."""
    folder = Path(tempfile.mkdtemp(prefix="cs-", dir="/tmp"))
    folder.chmod(0o755)
    for name in ("journals", "state"):
        (folder / name).mkdir()
    give(folder / "state")
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def give(path: Path) -> None:
    """Make the other user the owner."""
    user = pwd.getpwnam(OTHER)
    os.chown(path, user.pw_uid, user.pw_gid)


def as_other_user(folder: Path, code: str) -> subprocess.Popen[str]:
    """Start the code as the other user. It has `journals`, `state` and the functions of files/."""
    return subprocess.Popen(
        [sys.executable, "-c", _PRELUDE + code, OTHER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
