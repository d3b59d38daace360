"""Two users on one folder of journals: one lock for both, nobody is locked out, and errors name the owner."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatstore_cli.domain.errors import Locked
from chatstore_cli.files.folder_lock import folder_lock, holder_of
from chatstore_cli.files.journal_writer import JournalWriter
from chatstore_cli.files.ledger import Ledger
from chatstore_cli.files.quarantine import Quarantine
from chatstore_cli.files.state_folder import bookkeeping_folder
from tests.support.other_user import OTHER, as_other_user, give, needs_root, shared_folder

pytestmark = needs_root


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with `journals`, which belongs to root, and with the other user's `state`."""
    with shared_folder() as folder:
        yield folder


def lines_of(folder: Path, code: str) -> list[str]:
    """What the code of the other user printed."""
    with as_other_user(folder, code) as process:
        out, _ = process.communicate()
    assert process.returncode == 0
    return out.splitlines()


TRY_TO_LOCK = """
bookkeeping = bookkeeping_folder(journals, state)
print(bookkeeping.is_relative_to(state))
try:
    with folder_lock(journals, bookkeeping, "chatstore worker"):
        print("locked")
except Exception as error:
    print(type(error).__name__, error)
print(holder_of(journals, bookkeeping))
"""


def test_roots_lock_excludes_a_user_who_cannot_read_roots_folder(folder: Path):
    journals = folder / "journals"
    bookkeeping = bookkeeping_folder(journals, None)
    assert bookkeeping == journals / ".chatstore"
    with folder_lock(journals, bookkeeping, "chatstore flush-cache"):
        in_state, told, holder = lines_of(folder, TRY_TO_LOCK)
    assert in_state == "True"
    assert told == f"Locked {journals} is in use by a process of the user root (process {os.getpid()})."
    assert holder == f"a process of the user root (process {os.getpid()})"
    assert lines_of(folder, TRY_TO_LOCK) == ["True", "locked", "None"]


def test_the_users_lock_excludes_root(folder: Path):
    journals = folder / "journals"
    bookkeeping_folder(journals, None)
    code = """
with folder_lock(journals, bookkeeping_folder(journals, state), "chatstore worker"):
    print("locked", flush=True)
    sys.stdin.read()
"""
    with as_other_user(folder, code) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        bookkeeping = bookkeeping_folder(journals, None)
        holder = f"a process of the user {OTHER} (process {process.pid})"
        with pytest.raises(Locked) as told, folder_lock(journals, bookkeeping, "test"):
            raise AssertionError("two hold it")
        assert told.value.message == f"{journals} is in use by {holder}."
        assert str(holder_of(journals, bookkeeping)) == holder
        process.communicate()
    with folder_lock(journals, bookkeeping, "test"):
        pass


def test_what_root_leaves_in_a_users_folder_belongs_to_that_user(folder: Path):
    journals = folder / "journals"
    give(journals)
    bookkeeping = bookkeeping_folder(journals, None)
    Ledger(bookkeeping / "ledger.sqlite3").close()
    quarantine = Quarantine(bookkeeping)
    quarantine.add("a.jsonl", 1, 0, b"bad", "not JSON", "2026-03-02T11:41:00+00:00")
    quarantine.sync()
    quarantine.remove(set())
    quarantine.add_large("a.jsonl", 2, 4, 3, [b"big"], "too long", "2026-03-02T11:41:00+00:00")
    JournalWriter(journals).append("a" * 300, b"{}")
    with folder_lock(journals, bookkeeping, "test"):
        left = list(journals.rglob("*"))
        assert {path.owner() for path in left} == {OTHER}
        assert len(left) == 7
        assert {path.stat().st_mode & 0o077 for path in left} == {0}
    code = """
print(bookkeeping_folder(journals, state) == journals / ".chatstore")
print(len(list(Quarantine(journals / ".chatstore").lines())))
"""
    assert lines_of(folder, code) == ["True", "2"]


def test_a_file_that_is_already_there_keeps_its_owner(folder: Path):
    journals = folder / "journals"
    give(journals)
    bookkeeping = bookkeeping_folder(journals, None)
    (folder / "secret").write_text("")
    (bookkeeping / "quarantine.jsonl").symlink_to(folder / "secret")
    Quarantine(bookkeeping).add("a.jsonl", 1, 0, b"bad", "not JSON", "2026-03-02T11:41:00+00:00")
    assert (folder / "secret").owner() == "root"


def test_errors_name_the_owner(folder: Path):
    journals = folder / "journals"
    bookkeeping = bookkeeping_folder(journals, None)
    (bookkeeping / "quarantine.jsonl").write_text("")
    (journals / "a.jsonl").write_text("{}\n")
    (journals / "a.jsonl").chmod(0o600)
    code = """
def told(call):
    try:
        print(call())
    except Exception as error:
        print(type(error).__name__, error, error.hint)
told(lambda: list(Quarantine(journals / ".chatstore").lines()))
told(lambda: list(JournalFile(journals / "a.jsonl").blocks()))
told(lambda: bookkeeping_folder(journals, "/proc/nowhere"))
told(lambda: JournalWriter(journals).append("a", b"{}"))
print(journal_folder(journals))
print(*bookkeeping_notices([str(journals)]))
"""
    of_quarantine, of_journal, of_bookkeeping, of_recording, found, notice = lines_of(folder, code)
    end = (
        f"belongs to root (mode 0600), and this process runs as {OTHER}. Run the command as its owner, or grant access."
    )
    assert of_quarantine.startswith(f"NotAllowed Cannot read {bookkeeping}/quarantine.jsonl: Permission denied. ")
    assert f"{bookkeeping} belongs to root (mode 0700), and this process runs as {OTHER}." in of_quarantine
    assert of_journal == f"ChatstoreError {journals}/a.jsonl: Permission denied {journals}/a.jsonl {end}"
    assert f"{bookkeeping} belongs to root (mode 0700)" in of_bookkeeping
    assert of_recording.startswith("NotRecorded The message was not recorded: ")
    assert of_recording.endswith(f"{journals}/a.jsonl {end}")
    owner = f"{bookkeeping} belongs to root (mode 0700), and this process runs as {OTHER}."
    assert owner in found
    assert f"unreadable=['{journals}/a.jsonl']" in found
    assert notice == f"{owner} So this user's ledger and quarantine are in the state folder."


def test_a_ledger_that_root_left_is_replaced_and_not_read_again_for_ever(folder: Path):
    journals = folder / "journals"
    give(journals)
    bookkeeping = bookkeeping_folder(journals, None)
    Ledger(bookkeeping / "ledger.sqlite3").close()
    os.chown(bookkeeping / "ledger.sqlite3", 0, 0)
    code = """
from chatstore_cli.domain.journal import Position
for _ in range(2):
    ledger = Ledger(journals / ".chatstore" / "ledger.sqlite3")
    print(ledger.position("a", "c"))
    ledger.advance("a", "c", Position(1, 1, "", "", ""))
    ledger.close()
"""
    first, second = lines_of(folder, code)
    assert first == "None"
    assert second.startswith("Position(")
