"""One process at a time holds the lock. Others learn which one, and a killed process holds nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chatstore_cli.domain.errors import ChatstoreError, Locked
from chatstore_cli.files import state_folder as state
from chatstore_cli.files.folder_lock import folder_lock
from chatstore_cli.files.state_folder import bookkeeping_folder, existing_bookkeeping_folders, stdin_folder

HOLDER = """
import sys
from pathlib import Path
from chatstore_cli.files.folder_lock import folder_lock
with folder_lock(Path(sys.argv[1]), Path(sys.argv[1]), "chatstore flush-cache"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_second_process_gets_the_holders_name_and_a_killed_holder_has_no_lock(tmp_path: Path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(Locked) as told, folder_lock(tmp_path, tmp_path, "test"):
        raise AssertionError("two hold it")
    assert told.value.message.startswith(f"{tmp_path} is in use by chatstore flush-cache (process {holder.pid} on ")
    assert told.value.exit_code == 8
    holder.kill()
    holder.communicate()
    with folder_lock(tmp_path, tmp_path, "test"):
        assert json.loads((tmp_path / "lock.holder").read_text())["pid"] == os.getpid()
    assert not (tmp_path / "lock.holder").exists()


def test_a_holder_without_a_name_is_named_by_the_kernel(tmp_path: Path):
    with folder_lock(tmp_path, tmp_path, "test"):
        (tmp_path / "lock.holder").write_text("{torn")
        with (
            pytest.raises(Locked, match=rf"in use by a process of the user \S+ \(process {os.getpid()}\)"),
            folder_lock(tmp_path, tmp_path, "test"),
        ):
            raise AssertionError("two hold it")


# --- where things are remembered -------------------------------------------------------------------------------------


@pytest.fixture
def nowhere_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be written beside journals, as on a read-only mount. (Root may write whatever chmod says.)"""
    real = state._usable
    monkeypatch.setattr(state, "_usable", lambda folder: folder.name != state.BESIDE and real(folder))


def test_bookkeeping_is_beside_the_journals_if_that_folder_is_writable(tmp_path: Path):
    assert existing_bookkeeping_folders(tmp_path, str(tmp_path / "state")) == []
    folder = bookkeeping_folder(tmp_path, str(tmp_path / "state"))
    assert folder == tmp_path / ".chatstore"
    assert existing_bookkeeping_folders(tmp_path, str(tmp_path / "state")) == [folder]
    assert folder.stat().st_mode & 0o077 == 0


def test_otherwise_bookkeeping_is_in_the_state_folder_under_a_name_of_its_own(tmp_path: Path, nowhere_beside: None):
    one = bookkeeping_folder(tmp_path / "one", str(tmp_path / "state"))
    other = bookkeeping_folder(tmp_path / "other", str(tmp_path / "state"))
    assert one.parent == other.parent == tmp_path / "state" / "journals"
    assert one != other
    assert existing_bookkeeping_folders(tmp_path / "one", str(tmp_path / "state")) == [one]
    assert not (tmp_path / "one").exists()


def test_both_bookkeeping_folders_are_read_if_both_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    beside = bookkeeping_folder(tmp_path, str(tmp_path / "state"))
    real = state._usable
    monkeypatch.setattr(state, "_usable", lambda folder: folder != beside and real(folder))
    fallback = bookkeeping_folder(tmp_path, str(tmp_path / "state"))
    assert existing_bookkeeping_folders(tmp_path, str(tmp_path / "state")) == [beside, fallback]
    monkeypatch.setattr(state.os, "access", lambda folder, _: folder != beside)
    assert existing_bookkeeping_folders(tmp_path, str(tmp_path / "state")) == [fallback, beside]


def test_without_a_writable_folder_the_error_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(state, "_usable", lambda _: False)
    with pytest.raises(ChatstoreError, match="the ledger and the quarantine have no folder"):
        bookkeeping_folder(tmp_path, str(tmp_path / "state"))
    with pytest.raises(ChatstoreError, match=r"^Cannot write to .*stdin\."):
        stdin_folder(str(tmp_path / "state"))


def test_the_platforms_state_folder_is_the_default(no_real_home: Path):
    assert stdin_folder(None) == no_real_home / "state" / "chatstore" / "journals" / "stdin"
