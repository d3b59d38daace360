"""How `chatstore serve` starts, and the errors with which it does not."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from chatstore_cli.domain.errors import BadValue, Conflict, NotAllowed
from chatstore_cli.server import run
from tests.conftest import Chatstore
from tests.support.mongod import poll
from tests.support.server_processes import running_server

OFF = {"CHATSTORE_MONGO__ENABLED": "false"}


def test_a_port_in_use_is_a_conflict(chatstore_without_database: Chatstore):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = chatstore_without_database("serve", "--port", str(port), env=OFF)
    assert outcome.code == 8
    assert f"Cannot listen on 127.0.0.1, port {port}: Address already in use. Choose another port" in outcome.err
    assert outcome.out == ""


@pytest.mark.parametrize("host", ["203.0.113.1", "no-such-host.invalid", "a" * 300, "127.0.0.1/8"])
def test_an_address_of_another_machine_is_wrong_use(chatstore_without_database: Chatstore, host: str):
    outcome = chatstore_without_database("serve", "--port", "0", "--host", host, "-o", "json", env=OFF)
    assert outcome.code == 2
    assert "an address or name of this machine" in json.loads(outcome.err.splitlines()[-1])["error"]["message"]


def test_an_address_that_others_can_reach_needs_a_key(chatstore_without_database: Chatstore):
    outcome = chatstore_without_database("serve", "--port", "0", "--host", "0.0.0.0", env=OFF)
    assert outcome.code == 4
    assert "the server has no keys" in outcome.err


def test_a_low_port_needs_rights(monkeypatch: pytest.MonkeyPatch):
    def bind(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(run.socket.socket, "bind", bind)
    with pytest.raises(NotAllowed, match="Cannot listen on port 80"):
        run.listen("127.0.0.1", 80)


def test_a_port_that_somebody_bound_without_listening_is_not_shared():
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", 0))
        bound.listen()
        with pytest.raises(Conflict):
            run.listen("127.0.0.1", bound.getsockname()[1])


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_a_name_gets_its_ipv4_address(name: str):
    with run.listen(name, 0) as listening:
        assert run.address_of(listening).startswith("http://127.0.0.1:")
        assert run.is_loopback(listening.getsockname()[0])


def test_an_ipv6_address_is_in_brackets():
    try:
        listening = run.listen("::1", 0)
    except BadValue:
        pytest.skip("this machine has no IPv6")
    with listening:
        assert run.address_of(listening).startswith("http://[::1]:")


def test_journals_that_cannot_be_written(chatstore_without_database: Chatstore):
    (chatstore_without_database.folder / "data").write_text("a file")
    outcome = chatstore_without_database("serve", "--port", "0", env=OFF)
    assert outcome.code == 4
    assert "Messages cannot be recorded in the folder" in outcome.err
    assert "mongo.cache.disk_path" in outcome.err


def test_a_read_only_disk_of_journals(chatstore_without_database: Chatstore, small_disk: Callable[[str], Path]):
    folder = small_disk("size=256k")
    small_disk("ro,size=256k")
    settings = {**OFF, "CHATSTORE_MONGO__CACHE__DISK_PATH": str(folder)}
    outcome = chatstore_without_database("serve", "--port", "0", env=settings)
    assert (outcome.code, "it cannot be written" in outcome.err) == (4, True)


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"CHATSTORE_SERVER__PORT": "70000"}, "chatstore.server.port"),
        ({"CHATSTORE_SERVER__READ_THREADS": "0"}, "chatstore.server.read_threads"),
        ({"CHATSTORE_SERVER__RESPONDER": "no_such_module:answer"}, "no_such_module"),
        ({"CHATSTORE_SERVER__RESPONDER": "openai"}, "responder_url"),
        ({"CHATSTORE_SERVER__DISPATCH": "json:no_such_function"}, "no_such_function"),
        ({"CHATSTORE_CONFIG": "no-such-file.yaml"}, "no-such-file.yaml"),
    ],
)
def test_broken_settings(chatstore_without_database: Chatstore, variables: dict[str, str], named: str):
    outcome = chatstore_without_database("serve", "--port", "0", env={**OFF, **variables})
    assert outcome.code == 2
    assert named in outcome.err
    assert "Traceback" not in outcome.err


def test_without_mongodb_the_server_starts_records_and_reports_what_it_serves(chatstore_without_database: Chatstore):
    (chatstore_without_database.folder / "garbage.py").write_text(
        "import gc\n\ndef respond(question):\n    return str(gc.get_threshold())\n"
    )
    variables = {"PYTHONPATH": str(chatstore_without_database.folder), "CHATSTORE_SERVER__RESPONDER": "garbage:respond"}
    with running_server(chatstore_without_database, **OFF, **variables) as server:
        started = json.loads(server.out_file.read_text())
        assert started == {
            "url": server.url,
            "pid": server.process.pid,
            "target": None,
            "journals": "data/cache/chat_sessions",
            "responder": "garbage:respond",
            "needs_keys": False,
        }
        answer = server.say("s1", "hello")
        assert answer.status_code == 200
        assert answer.json()["response"] == "(700, 10, 10)"  # the server collects garbage as often as Python does
        with server.client() as client:
            assert client.get("/readyz").status_code == 200
            assert client.get("/store/sessions").status_code == 503
            [first, _] = client.get("/api/chat/history?session_id=s1").json()["messages"]
        assert (first["text"], first["source"]) == ("hello", "cache")
        assert server.end() == 0
    assert "MongoDB is disabled: messages remain in the journals." in server.err
    assert f"Serving on {server.url}. TERM or INT stops it." in server.err
    assert "POST /api/chat 200" in server.err
    assert "hello" not in server.err
    [journal] = (chatstore_without_database.folder / "data/cache/chat_sessions").glob("*.jsonl")
    assert json.loads(journal.read_text().splitlines()[0])["text"] == "hello"


@pytest.mark.real
def test_the_start_makes_no_index_that_would_delete_stored_messages(chatstore: Chatstore, database: Any):
    database["chat_messages"].insert_one(
        {
            "_id": "old",
            "session_id": "s",
            "role": "user",
            "text": "stored before there was an index",
            "metadata": {},
            "vector_ids": [],
            "created_at": "2019-12-01T00:00:00.000000+00:00",
            "expires_at": datetime(2020, 1, 1, tzinfo=UTC),
            "sequence": 1,
        }
    )
    with running_server(chatstore) as server:
        poll(lambda: "The database is ready" in server.err, what="the preparation")
        assert "Not changed: index chat_messages.expires_at_idx" in server.err
        names = set(database["chat_messages"].index_information())
        assert "session_ts_idx" in names
        assert "expires_at_idx" not in names
        assert server.end() == 0
