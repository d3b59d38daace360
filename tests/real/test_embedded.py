"""The embedded MongoDB: one real server that commands share, and that survives every fault."""

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

from chatstore_cli.domain.embedded import EmbeddedStatus
from chatstore_cli.domain.errors import BadConfig, Locked, NotAllowed, Overdue, Unreachable
from chatstore_cli.mongo.embedded import log as mongod_log
from chatstore_cli.mongo.embedded.folders import runtime_folder
from chatstore_cli.mongo.embedded.server import EmbeddedServer
from tests.conftest import _need_a_mongod
from tests.support.mongod import poll, short_temporary_folder
from tests.support.paths import ROOT
from tests.support.stray_processes import has_ended, kill_processes_of

pytestmark = pytest.mark.real

ENSURE = """
import sys
from chatstore_cli.mongo.embedded.server import EmbeddedServer
server = EmbeddedServer(*sys.argv[1:3])
print(server.ensure_running(), server.status().pid)
"""


@dataclass
class Embedded:
    """An embedded MongoDB in folders of the test."""

    folder: Path
    data: Path
    runtime: Path

    @property
    def server(self) -> EmbeddedServer:
        return EmbeddedServer(self.data, self.runtime)

    @property
    def status(self) -> EmbeddedStatus:
        return self.server.status()

    def uri(self) -> str:
        return self.server.ensure_running()

    def collection(self) -> Any:
        return MongoClient(self.uri(), w="majority", journal=True)["d"]["c"]

    def pid(self) -> int:
        pid = self.status.pid
        assert pid is not None
        return pid

    def kill(self) -> int:
        pid = self.pid()
        os.kill(pid, signal.SIGKILL)
        poll(lambda: not self.status.running, what="the end of the killed server")
        return pid

    def stop(self) -> bool:
        return self.server.stop(seconds=60, kill=True)


@pytest.fixture
def server(short_folder: Path, needs_mongod: None) -> Iterator[Embedded]:
    """A server that is not started yet, killed after the test."""
    yield Embedded(short_folder, short_folder / "data", short_folder / "run")
    kill_processes_of(short_folder)


@pytest.fixture(scope="module")
def running() -> Iterator[Embedded]:
    """A running server that tests only read."""
    _need_a_mongod()
    with short_temporary_folder() as folder:
        server = Embedded(folder, folder / "data", folder / "run")
        server.uri()
        yield server
        kill_processes_of(folder)


def python(code: str, *arguments: str | Path, **settings: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        **settings,
    )


# --- what it is ------------------------------------------------------------------------------------------------------


def test_transactions_and_change_streams_work(running: Embedded):
    collection = running.collection()
    collection.insert_one({"_id": 0})
    client = collection.database.client
    with collection.watch() as changes:
        with client.start_session() as session, session.start_transaction():
            collection.insert_one({"_id": 1}, session=session)
        assert next(changes)["documentKey"] == {"_id": 1}


def test_it_listens_in_its_own_folder_alone(running: Embedded):
    process = psutil.Process(running.pid())
    assert process.net_connections("inet") == []
    listening = {Path(found.laddr).parent for found in process.net_connections("unix") if found.laddr}
    assert listening == {Path(running.status.socket or "").parent}
    for folder in (running.data, running.data / "db", *listening):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_it_is_detached_from_its_starter(running: Embedded):
    pid = running.pid()
    assert os.getsid(pid) == pid, "it would receive a Ctrl-C of the starter's terminal"
    opened = [str(Path(f"/proc/{pid}/fd/{number}").readlink()) for number in (0, 1, 2)]
    assert opened == ["/dev/null", str(running.data / "mongod.log"), str(running.data / "mongod.log")]


def test_finding_a_running_one_loads_nothing_heavy(running: Embedded):
    code = (
        ENSURE + "print([m for m in ('pymongo', 'subprocess', 'filelock', 'tempfile', 'pydantic') if m in sys.modules])"
    )
    out, _ = python(code, running.data, running.runtime).communicate(timeout=300)
    assert out.decode().splitlines()[-1] == "[]"


def test_status_of_one_that_never_ran_makes_nothing(server: Embedded):
    status = server.status
    assert (status.running, status.pid, status.size_bytes) == (False, None, 0)
    assert not server.stop()
    assert list(server.folder.iterdir()) == []


def test_status_describes_the_running_one(running: Embedded):
    status = running.status
    assert status.running and status.version and status.version[0].isdigit()
    assert status.size_bytes > 100_000
    assert status.uptime_seconds is not None and status.uptime_seconds >= 0
    assert status.data_folder == str(running.data)


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
    uri = EmbeddedServer(server.data, None).ensure_running()
    assert str(own).replace("/", "%2F") in uri
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    without_runtime = EmbeddedServer(server.data, None)
    assert without_runtime.ensure_running() == uri
    assert without_runtime.stop()


def test_a_copy_of_the_data_folder_is_not_taken_for_the_original(server: Embedded):
    server.uri()
    copy = server.folder / "copy"
    copy.mkdir()
    shutil.copy(server.data / "server.json", copy)
    EmbeddedServer(copy, server.runtime).ensure_running()
    assert EmbeddedServer(copy, server.runtime).status().pid != server.pid()


# --- crashes ---------------------------------------------------------------------------------------------------------


def test_data_survive_a_kill(server: Embedded):
    server.collection().insert_one({"_id": 1})
    killed = server.kill()
    assert server.collection().find_one() == {"_id": 1}
    assert server.pid() != killed


def test_a_stop_is_clean_and_leaves_no_socket(server: Embedded):
    server.collection().insert_one({"_id": 1})
    assert server.stop()
    assert not server.status.running
    assert list(server.runtime.iterdir()) == []
    assert (server.data / "db" / "mongod.lock").read_bytes() == b""
    assert server.collection().find_one() == {"_id": 1}


def test_one_whose_starter_died_before_the_record_is_adopted(server: Embedded):
    server.uri()
    pid = server.pid()
    (server.data / "server.json").unlink()
    assert not server.server.start()
    assert server.pid() == pid


@pytest.mark.parametrize("rounds", [2, pytest.param(60, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])])
def test_a_starter_may_be_killed_at_any_instant(server: Embedded, rounds: int):
    instants = random.Random(rounds)
    for number in range(rounds):
        starter = python(ENSURE, server.data, server.runtime)
        time.sleep(instants.uniform(0.05, 1.2))  # the instant of the kill
        starter.kill()
        starter.wait()
        starter.communicate()
        server.collection().insert_one({"_id": number})
        assert server.collection().count_documents({}) == number + 1
        server.kill()


def test_one_that_lost_its_socket_is_restarted(server: Embedded):
    """As after a clean-up of temporary files, or a logout that deletes the runtime folder."""
    server.collection().insert_one({"_id": 1})
    pid = server.pid()
    shutil.rmtree(server.runtime)
    notices: list[str] = []
    EmbeddedServer(server.data, server.runtime, notices.append).ensure_running()
    assert "has lost its socket" in notices[0]
    assert has_ended(pid)
    assert server.collection().find_one() == {"_id": 1}


def test_one_whose_data_folder_was_deleted_does_not_serve_old_data(server: Embedded):
    server.collection().insert_one({"_id": 1})
    pid = server.pid()
    poll(lambda: not subprocess.run(["rm", "-rf", server.data], capture_output=True).returncode)  # it still writes
    assert server.collection().find_one() is None
    assert has_ended(pid)


def test_one_that_hangs_is_stopped_only_by_force(server: Embedded):
    server.collection().insert_one({"_id": 1})
    pid = server.pid()
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(Overdue, match=f"process {pid}.*0.2 s"):
        server.server.stop(seconds=0.2)
    assert server.server.stop(seconds=0.2, kill=True)
    assert server.collection().find_one() == {"_id": 1}


@pytest.mark.parametrize("file", ["the record", "mongod's lock file"])
def test_another_program_with_the_recorded_process_id_is_not_terminated(server: Embedded, file: str):
    server.uri()
    record = json.loads((server.data / "server.json").read_text())
    server.kill()
    with subprocess.Popen(["sleep", "600"], cwd=server.data) as bystander:
        if file == "the record":
            (server.data / "server.json").write_text(json.dumps({**record, "pid": bystander.pid}))
            (server.data / "db" / "mongod.lock").write_text("")
        else:
            (server.data / "db" / "mongod.lock").write_text(f"{bystander.pid}\n")
        assert not server.status.running
        assert not server.server.stop(seconds=0.2, kill=True)
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


def test_another_runtime_folder_may_be_set(server: Embedded):
    server.collection().insert_one({"_id": 1})
    server.stop()
    server.runtime = server.folder / "other"
    server.collection().insert_one({"_id": 2})


# --- errors ----------------------------------------------------------------------------------------


def test_a_full_disk_is_an_error(server: Embedded):
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


def test_data_of_a_newer_server_are_an_error(server: Embedded):
    admin = MongoClient(server.uri()).admin
    # Servers reject writes of this document, but not the replacement of its collection.
    admin["tmp"].insert_one({"_id": "featureCompatibilityVersion", "version": "99.0"})
    rename = {"renameCollection": "admin.tmp", "to": "admin.system.version", "dropTarget": True}
    admin.command("applyOps", [{"op": "c", "ns": "admin.$cmd", "o": rename}])
    server.stop()
    with pytest.raises(Unreachable, match=r"written by another version of MongoDB.*99\.0") as raised:
        server.uri()
    assert "CHATSTORE_MONGOD" in (raised.value.hint or "")
    assert list(server.runtime.iterdir()) == []


def test_a_data_folder_in_use_by_another_mongod_is_an_error(server: Embedded, start_mongod: Callable[..., Any]):
    server.data.mkdir(mode=0o700)
    other = start_mongod(server.folder / "o")
    (server.data / "db").symlink_to(other.data)
    with pytest.raises(Locked, match="in use by another mongod"):
        server.uri()
    assert other.process is not None and other.process.poll() is None


def test_mongods_own_reason_is_in_the_error(server: Embedded):
    server.uri()
    server.stop()
    for file in (server.data / "db").glob("WiredTiger.turtle*"):
        file.write_text("torn")
    (server.data / "db" / "WiredTiger.wt").write_bytes(b"torn")
    with pytest.raises(
        Unreachable, match=r"did not start: .*WiredTiger\.turtle: fatal turtle file read error"
    ) as raised:
        server.uri()
    assert "\n" not in raised.value.message
    assert "mongod.log" in (raised.value.hint or "")


def test_a_symbolic_link_is_not_followed(server: Embedded):
    (server.folder / "target").mkdir()
    server.data.symlink_to(server.folder / "target")
    with pytest.raises(BadConfig, match=r"mongo\.embedded\.data_dir: .* is a symbolic link"):
        server.uri()


def test_a_folder_with_other_files_is_not_changed(server: Embedded):
    server.data.mkdir(mode=0o755)
    (server.data / "thesis.txt").write_text("mine")
    with pytest.raises(BadConfig, match=r"contains other files \(thesis\.txt\)"):
        server.uri()
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o755
    assert [entry.name for entry in server.data.iterdir()] == ["thesis.txt"]


def test_a_folder_that_others_may_read_becomes_private(server: Embedded):
    server.data.mkdir(mode=0o755)
    server.uri()
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o700


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a folder another user's")
@pytest.mark.parametrize("which", ["data", "runtime"])
def test_another_users_folder_is_rejected(server: Embedded, which: str):
    theirs = server.data
    if which == "runtime":
        theirs = runtime_folder(server.data, server.runtime)
    theirs.mkdir(parents=True, mode=0o700)
    os.chown(theirs, 4321, 4321)
    with pytest.raises(NotAllowed, match=f"{theirs} belongs to another user"):
        server.uri()


@pytest.mark.parametrize(("name", "reason"), [("x" * 90, "is too long"), ("a,b", "comma"), ("a b", "blank")])
def test_a_runtime_folder_unfit_for_a_socket_is_rejected(server: Embedded, name: str, reason: str):
    server.runtime = server.folder / name
    with pytest.raises(BadConfig, match=rf"mongo\.embedded\.runtime_dir: .*{reason}"):
        server.uri()


def test_a_file_in_place_of_a_folder_is_an_error(server: Embedded):
    server.data.write_text("")
    with pytest.raises(BadConfig, match="is not a folder"):
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
