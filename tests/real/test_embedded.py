"""The embedded MongoDB: one real server that commands share, and that outlives whatever happens to it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from pymongo import MongoClient

from chatstore_cli.domain.errors import BadConfig, Locked, NotAllowed, Overdue, Unreachable
from chatstore_cli.mongo.embedded import log as mongod_log
from chatstore_cli.mongo.embedded import server as embedded
from tests.support.mongod import poll
from tests.support.paths import ROOT

pytestmark = pytest.mark.real

ENSURE = """
import sys
from chatstore_cli.mongo.embedded.server import ensure_running, status
print(ensure_running(*sys.argv[1:3]), status(sys.argv[1]).pid)
"""


@dataclass
class Embedded:
    """An embedded MongoDB in folders of the test's own."""

    folder: Path
    data: Path
    runtime: Path

    def uri(self) -> str:
        return embedded.ensure_running(self.data, self.runtime)

    def collection(self) -> Any:
        return MongoClient(self.uri(), w="majority", journal=True)["d"]["c"]

    def pid(self) -> int:
        found = embedded.status(self.data).pid
        assert found is not None
        return found

    def kill(self) -> int:
        pid = self.pid()
        os.kill(pid, signal.SIGKILL)
        poll(lambda: not embedded.status(self.data).running, what="the killed server's end")
        return pid

    def stop(self) -> bool:
        return embedded.stop(self.data, self.runtime, seconds=20, kill=True)


@pytest.fixture
def server(short_folder: Path, needs_mongod: None) -> Iterator[Embedded]:
    """Not started yet; ended with the test, also where the test has moved its folders."""
    yield Embedded(short_folder, short_folder / "data", short_folder / "run")
    for process in psutil.process_iter(["cmdline"]):
        if any(str(short_folder) in word for word in process.info["cmdline"] or []):
            process.kill()
            process.wait(10)


def python(code: str, *arguments: str | Path, **settings: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        **settings,
    )


def has_ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def sockets_of_the_temporary_folder() -> set[Path]:
    return set(Path("/tmp").glob("mongodb-*.sock"))


# --- what it is ------------------------------------------------------------------------------------------------------


def test_transactions_and_change_streams_work(server: Embedded):
    collection = server.collection()
    collection.insert_one({"_id": 0})
    client = collection.database.client
    with collection.watch() as changes:
        with client.start_session() as session, session.start_transaction():
            collection.insert_one({"_id": 1}, session=session)
        assert next(changes)["documentKey"] == {"_id": 1}


def test_it_listens_in_its_own_folder_alone(server: Embedded):
    before = sockets_of_the_temporary_folder()
    server.uri()
    assert sockets_of_the_temporary_folder() == before
    process = psutil.Process(server.pid())
    assert process.net_connections("inet") == []
    listening = {Path(found.laddr).parent for found in process.net_connections("unix") if found.laddr}
    assert listening == {Path(embedded.status(server.data).socket or "").parent}
    for folder in (server.data, server.data / "db", *listening):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_it_is_detached_from_its_starter(server: Embedded):
    server.uri()
    pid = server.pid()
    assert os.getsid(pid) == pid, "it would be told of a Ctrl-C on the starter's terminal"
    opened = [str(Path(f"/proc/{pid}/fd/{number}").readlink()) for number in (0, 1, 2)]
    assert opened == ["/dev/null", str(server.data / "mongod.log"), str(server.data / "mongod.log")]


def test_finding_a_running_one_loads_nothing_heavy(server: Embedded):
    server.uri()
    code = (
        ENSURE + "print([m for m in ('pymongo', 'subprocess', 'filelock', 'tempfile', 'pydantic') if m in sys.modules])"
    )
    out, _ = python(code, server.data, server.runtime).communicate(timeout=60)
    assert out.decode().splitlines()[-1] == "[]"


def test_status_of_one_that_never_ran_makes_nothing(server: Embedded):
    found = embedded.status(server.data)
    assert (found.running, found.pid, found.size_bytes) == (False, None, 0)
    assert not embedded.stop(server.data, server.runtime)
    assert list(server.folder.iterdir()) == []


def test_status_tells_of_the_running_one(server: Embedded):
    server.uri()
    found = embedded.status(server.data)
    assert found.running and found.version and found.version[0].isdigit()
    assert found.size_bytes > 100_000
    assert found.uptime_seconds is not None and 0 <= found.uptime_seconds < 60
    assert found.data_folder == str(server.data)


# --- two at once -----------------------------------------------------------------------------------------------------


def test_four_commands_that_start_it_at_once_share_one(server: Embedded):
    racers = [python(ENSURE, server.data, server.runtime) for _ in range(4)]
    answers = [racer.communicate(timeout=120) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0, 0, 0], answers
    assert len({out for out, _ in answers}) == 1
    assert answers[0][0].split()[-1] == str(server.pid()).encode()


def test_commands_with_other_environments_find_the_same_one(server: Embedded, monkeypatch: pytest.MonkeyPatch):
    own = server.folder / "xdg"
    own.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(own))
    uri = embedded.ensure_running(server.data)
    assert str(own).replace("/", "%2F") in uri
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert embedded.ensure_running(server.data) == uri
    assert embedded.stop(server.data)


def test_a_copy_of_the_data_folder_is_not_taken_for_the_original(server: Embedded):
    server.uri()
    copy = server.folder / "copy"
    copy.mkdir()
    shutil.copy(server.data / "server.json", copy)
    embedded.ensure_running(copy, server.runtime)
    assert embedded.status(copy).pid != server.pid()


# --- crashes ---------------------------------------------------------------------------------------------------------


def test_data_outlive_a_kill(server: Embedded):
    server.collection().insert_one({"_id": 1})
    killed = server.kill()
    assert server.collection().find_one() == {"_id": 1}
    assert server.pid() != killed


def test_a_stop_is_clean_and_leaves_no_socket(server: Embedded):
    server.collection().insert_one({"_id": 1})
    assert server.stop()
    assert not embedded.status(server.data).running
    assert list(server.runtime.iterdir()) == []
    assert (server.data / "db" / "mongod.lock").read_bytes() == b""
    assert server.collection().find_one() == {"_id": 1}


def test_one_whose_starter_died_before_recording_it_is_taken_over(server: Embedded):
    server.uri()
    pid = server.pid()
    (server.data / "server.json").unlink()
    assert not embedded.start(server.data, server.runtime)
    assert server.pid() == pid


@pytest.mark.parametrize("rounds", [4, pytest.param(60, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])])
def test_a_starter_may_be_killed_at_any_instant(server: Embedded, rounds: int):
    chance = random.Random(rounds)
    for number in range(rounds):
        starter = python(ENSURE, server.data, server.runtime)
        time.sleep(chance.uniform(0.05, 1.2))  # not a wait for something: the instant of the kill
        starter.kill()
        starter.wait()
        starter.communicate()
        server.collection().insert_one({"_id": number})
        assert server.collection().count_documents({}) == number + 1
        server.kill()


def test_one_that_lost_its_socket_is_restarted(server: Embedded):
    """A temporary folder that is cleaned, a session's runtime folder that goes at logout."""
    server.collection().insert_one({"_id": 1})
    pid = server.pid()
    shutil.rmtree(server.runtime)
    said: list[str] = []
    embedded.ensure_running(server.data, server.runtime, say=said.append)
    assert "has lost its socket" in said[0]
    assert has_ended(pid)
    assert server.collection().find_one() == {"_id": 1}


def test_one_whose_data_folder_was_deleted_does_not_serve_what_is_gone(server: Embedded):
    server.collection().insert_one({"_id": 1})
    pid = server.pid()
    poll(lambda: not subprocess.run(["rm", "-rf", server.data], capture_output=True).returncode)  # it writes on
    assert server.collection().find_one() is None
    assert has_ended(pid)


def test_one_that_hangs_is_stopped_only_by_force(server: Embedded):
    server.collection().insert_one({"_id": 1})
    pid = server.pid()
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(Overdue, match=f"process {pid}.*0.2 s"):
        embedded.stop(server.data, server.runtime, seconds=0.2)
    assert embedded.stop(server.data, server.runtime, seconds=0.2, kill=True)
    assert server.collection().find_one() == {"_id": 1}


@pytest.mark.parametrize("where", ["the record", "mongod's lock file"])
def test_a_process_id_that_is_another_programs_now_is_left_alone(server: Embedded, where: str):
    server.uri()
    record = json.loads((server.data / "server.json").read_text())
    server.kill()
    with subprocess.Popen(["sleep", "60"], cwd=server.data) as bystander:
        if where == "the record":
            (server.data / "server.json").write_text(json.dumps({**record, "pid": bystander.pid}))
            (server.data / "db" / "mongod.lock").write_text("")
        else:
            (server.data / "db" / "mongod.lock").write_text(f"{bystander.pid}\n")
        assert not embedded.status(server.data).running
        assert not embedded.stop(server.data, server.runtime, seconds=0.2, kill=True)
        server.uri()
        assert server.stop()
        assert bystander.poll() is None
        bystander.kill()


# --- moved -----------------------------------------------------------------------------------------------------------


def test_a_moved_data_folder_becomes_primary_again_with_its_data(server: Embedded):
    server.collection().insert_one({"_id": 1})
    server.stop()
    server.data = server.data.rename(server.folder / "elsewhere")
    collection = server.collection()
    assert collection.find_one() == {"_id": 1}
    collection.insert_one({"_id": 2})


def test_a_data_folder_may_be_moved_after_a_kill_or_while_it_is_used(server: Embedded):
    server.collection().insert_one({"_id": 1})
    pid = server.pid()
    server.data = server.data.rename(server.folder / "second")
    assert server.collection().find_one() == {"_id": 1}
    assert server.pid() == pid
    server.kill()
    server.data = server.data.rename(server.folder / "third")
    assert server.collection().find_one() == {"_id": 1}


def test_another_runtime_folder_may_be_named(server: Embedded):
    server.collection().insert_one({"_id": 1})
    server.stop()
    server.runtime = server.folder / "other"
    server.collection().insert_one({"_id": 2})


# --- what cannot work says so ----------------------------------------------------------------------------------------


def test_a_full_disk_is_named(server: Embedded):
    disk = server.data
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        with pytest.raises(Unreachable, match=f"the disk of {disk} is full"):
            server.uri()
        (disk / "fill").write_bytes(b"x" * 100)
        with pytest.raises(OSError), (disk / "db" / "fill").open("wb") as stream:
            while True:
                stream.write(b"x" * 65536)
        with pytest.raises(Unreachable, match=f"the disk of {disk} is full"):
            server.uri()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_data_of_a_newer_server_are_named(server: Embedded):
    admin = MongoClient(server.uri()).admin
    # No server lets anyone write this document; replacing its collection goes past the guard.
    admin["tmp"].insert_one({"_id": "featureCompatibilityVersion", "version": "99.0"})
    rename = {"renameCollection": "admin.tmp", "to": "admin.system.version", "dropTarget": True}
    admin.command("applyOps", [{"op": "c", "ns": "admin.$cmd", "o": rename}])
    server.stop()
    with pytest.raises(Unreachable, match=r"written by another version of MongoDB.*99\.0") as told:
        server.uri()
    assert "CHATSTORE_MONGOD" in (told.value.hint or "")
    assert list(server.runtime.iterdir()) == []


def test_a_data_folder_in_use_by_a_mongod_of_someone_elses_is_named(server: Embedded, start_mongod: Callable[..., Any]):
    server.data.mkdir(mode=0o700)
    other = start_mongod(server.folder / "o")
    (server.data / "db").symlink_to(other.data)
    with pytest.raises(Locked, match="in use by another mongod"):
        server.uri()
    assert other.process is not None and other.process.poll() is None


def test_a_reason_in_mongods_own_words_is_passed_on(server: Embedded):
    server.uri()
    server.stop()
    for file in (server.data / "db").glob("WiredTiger.turtle*"):
        file.write_text("torn")
    (server.data / "db" / "WiredTiger.wt").write_bytes(b"torn")
    with pytest.raises(Unreachable, match=r"did not start: .*WiredTiger\.turtle: fatal turtle file read error") as told:
        server.uri()
    assert "\n" not in told.value.message
    assert "mongod.log" in (told.value.hint or "")


def test_a_symbolic_link_is_not_followed(server: Embedded):
    (server.folder / "target").mkdir()
    server.data.symlink_to(server.folder / "target")
    with pytest.raises(BadConfig, match=r"mongo\.embedded\.data_dir: .* is a symbolic link"):
        server.uri()


def test_a_folder_of_other_files_is_left_as_it_is(server: Embedded):
    server.data.mkdir(mode=0o755)
    (server.data / "thesis.txt").write_text("mine")
    with pytest.raises(BadConfig, match=r"holds other files \(thesis\.txt\)"):
        server.uri()
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o755
    assert [entry.name for entry in server.data.iterdir()] == ["thesis.txt"]


def test_a_folder_that_others_may_read_is_closed(server: Embedded):
    server.data.mkdir(mode=0o755)
    server.uri()
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o700


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a folder another user's")
@pytest.mark.parametrize("which", ["data", "runtime"])
def test_another_users_folder_is_refused(server: Embedded, which: str):
    theirs = server.data
    if which == "runtime":
        from chatstore_cli.mongo.embedded.folders import runtime_folder

        theirs = runtime_folder(server.data, server.runtime)
    theirs.mkdir(parents=True, mode=0o700)
    os.chown(theirs, 4321, 4321)
    with pytest.raises(NotAllowed, match=f"{theirs} belongs to another user"):
        server.uri()


@pytest.mark.parametrize(("name", "reason"), [("x" * 90, "is too long"), ("a,b", "comma"), ("a b", "blank")])
def test_a_runtime_folder_that_a_socket_cannot_be_in_is_refused(server: Embedded, name: str, reason: str):
    server.runtime = server.folder / name
    with pytest.raises(BadConfig, match=rf"mongo\.embedded\.runtime_dir: .*{reason}"):
        server.uri()


def test_a_file_where_a_folder_must_be_is_named(server: Embedded):
    server.data.write_text("")
    with pytest.raises(BadConfig, match="is no folder"):
        server.uri()
    server.data = server.data / "below"
    with pytest.raises(Unreachable, match=r"cannot use .*data"):
        server.uri()


def test_the_log_is_bounded_at_each_start(server: Embedded):
    server.data.mkdir(mode=0o700)
    log = server.data / "mongod.log"
    with log.open("wb") as stream:
        stream.truncate(mongod_log.KEPT_BYTES + 1)
    server.uri()
    assert log.stat().st_size < mongod_log.KEPT_BYTES
    assert (server.data / "mongod.log.1").stat().st_size == mongod_log.KEPT_BYTES + 1
