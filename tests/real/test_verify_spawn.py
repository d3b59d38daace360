"""`chatstore verify --spawn`: a server with a database of its own is started, checked and removed."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.mongod import Mongod, poll

SENT = [
    "api-connection", "api-chat", "api-journal", "api-mongo", "api-log", "api-websocket", "api-worker", "api-status",
    "api-history", "api-replay", "api-general", "api-agent", "api-page", "api-cleanup",
]  # fmt: skip


def remains(mongo_client: Any, folder: Path) -> list[object]:
    """Databases and folders of runs that were not removed."""
    databases = [name for name in mongo_client.list_database_names() if name.startswith("chatstore_verify_")]
    return [*databases, *folder.glob("chatstore-verify-*")]


def test_every_interface_is_checked_and_nothing_remains(chatstore: Any, mongo_client: Any, tmp_path: Path) -> None:
    outcome = chatstore("verify", "--spawn", "-o", "json", env={"TMPDIR": str(tmp_path)})
    rows = {row["name"]: row for row in json.loads(outcome.out)["items"]}
    assert {name: rows[name]["status"] for name in SENT} == dict.fromkeys(SENT, "pass"), outcome.out
    assert outcome.code == 0
    assert remains(mongo_client, tmp_path) == []


def test_a_server_that_does_not_start_is_reported_and_nothing_remains(
    chatstore: Any, mongo_client: Any, tmp_path: Path
) -> None:
    environment = {"TMPDIR": str(tmp_path), "PYTHONPATH": str(tmp_path)}
    (tmp_path / "fastapi").mkdir()
    (tmp_path / "fastapi" / "__init__.py").write_text("raise ImportError('broken installation')\n")
    outcome = chatstore("verify", "--spawn", env=environment)
    assert outcome.code == 1
    assert "The server did not start" in outcome.err
    assert remains(mongo_client, tmp_path) == []


def test_options_that_name_another_application_are_rejected(chatstore: Any) -> None:
    outcome = chatstore("verify", "--spawn", "--api-url", "http://127.0.0.1:9")
    assert outcome.code == 2
    assert "--spawn cannot be combined with --api-url" in outcome.err
    assert chatstore("--read-only", "verify", "--spawn").code == 2


def test_without_a_database_it_fails_as_every_command_does(chatstore_without_database: Any, tmp_path: Path) -> None:
    environment = {
        "TMPDIR": str(tmp_path),
        "CHATSTORE_URI": "mongodb://127.0.0.1:1/",
        "CHATSTORE_MONGO__TIMEOUT_SECONDS": "0.3",
    }
    outcome = chatstore_without_database("verify", "--spawn", "-o", "json", env=environment)
    assert (outcome.code, outcome.out) == (5, "")
    error = json.loads(outcome.err.splitlines()[-1])["error"]
    assert error["kind"] == "unreachable"
    assert error["hint"].startswith("Check that the server runs")
    assert list(tmp_path.glob("chatstore-verify-*")) == []


def test_a_user_without_the_right_to_create_a_database_gets_an_error_that_names_it(
    chatstore_without_database: Any, start_mongod: Callable[..., Mongod], tmp_path: Path
) -> None:
    server = start_mongod(replica_set=False, auth=True)
    writer = server.create_user("writer", "secret", [{"role": "readWrite", "db": "chats"}])
    environment = {"TMPDIR": str(tmp_path), "CHATSTORE_DATABASE": "chats"}
    for uri, hint in ((writer, "right to create a database"), (server.uri_as("writer", "x"), "Check user, password")):
        outcome = chatstore_without_database("verify", "--spawn", env=environment | {"CHATSTORE_URI": uri})
        assert (outcome.code, outcome.out) == (4, ""), outcome.err
        assert hint in outcome.err
    assert list(tmp_path.glob("chatstore-verify-*")) == []


def test_the_server_uses_the_profile_of_the_command(chatstore: Any, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("profiles:\n  own:\n    mongo:\n      chat_collection: own_messages\n")
    outcome = chatstore(
        "--config", file, "--profile", "own", "verify", "--spawn", "--only", "api-chat,api-mongo", "-o", "json"
    )
    rows = {row["name"]: row for row in json.loads(outcome.out)["items"]}
    assert (rows["api-mongo"]["status"], outcome.code) == ("pass", 0), outcome.out
    assert "own_messages" in rows["api-mongo"]["detail"]


def test_a_missing_extra_is_named_before_anything_starts(chatstore: Any, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as util\n"
        "found = util.find_spec\n"
        "util.find_spec = lambda name, *more: None if name == 'httpx' else found(name, *more)\n"
    )
    outcome = chatstore("verify", "--spawn", env={"TMPDIR": str(tmp_path), "PYTHONPATH": str(tmp_path)})
    assert outcome.code == 2
    assert "--spawn needs packages that are not installed: httpx. Install the extras" in outcome.err


@pytest.mark.parametrize("moment", ["start", "checks"])
def test_an_interrupt_at_the_start_or_later_leaves_nothing(
    chatstore: Any, mongo_client: Any, tmp_path: Path, moment: str
) -> None:
    """Two signals: the second one arrives while the server is stopped, and must not leave it behind."""
    process = chatstore.popen("verify", "--spawn", env={"TMPDIR": str(tmp_path)})
    log = poll(lambda: next(iter(tmp_path.glob("chatstore-verify-*/server.log")), None), every=0.001)
    if moment == "checks":
        poll(lambda: re.search(rb"Loaded|INFO", log.read_bytes()))
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130, err.decode()
    assert remains(mongo_client, tmp_path) == []
    assert servers_in(tmp_path) == []


def servers_in(folder: Path) -> list[int]:
    """Processes whose temporary files are in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if b"TMPDIR=" + os.fsencode(folder) + b"\0" in (process / "environ").read_bytes():
                found.append(int(process.name))
    return found
