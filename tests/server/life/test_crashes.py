"""kill -9 of the server under load, two servers on one folder of journals, and a full disk: no message is lost or doubled."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Chatstore
from tests.support.mongod import Mongod, poll
from tests.support.server_processes import Talk, running_server, users_texts

pytestmark = pytest.mark.real


def journalled(chatstore: Chatstore) -> list[str]:
    """The texts of user messages in the journals."""
    folder = chatstore.folder / "data/cache/chat_sessions"
    rows = [json.loads(line) for path in folder.glob("*.jsonl") for line in path.read_bytes().splitlines()]
    return [row["text"] for row in rows if row["role"] == "user"]


def check_that_each_is_stored_once(chatstore: Chatstore, database: Any, acknowledged: list[str]) -> None:
    """A new start stores every message of the journals, once."""
    recorded = journalled(chatstore)
    assert set(acknowledged) <= set(recorded)
    with running_server(chatstore) as server:
        poll(lambda: "The database is ready" in server.err, what="the catching up")
        assert server.end() == 0
    assert sorted(users_texts(database["chat_messages"])) == sorted(recorded)


@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])])
def test_a_killed_server_has_journalled_what_it_acknowledged(own_chatstore: Chatstore, own_database: Any, rounds: int):
    acknowledged: list[str] = []
    for number in range(rounds):
        with running_server(own_chatstore) as server:
            talk = Talk(server, f"round {number}")
            talk.wait_for(100)
            server.kill()
            acknowledged += talk.end()
    check_that_each_is_stored_once(own_chatstore, own_database, acknowledged)


@pytest.mark.soak
def test_two_servers_share_a_folder_of_journals(own_chatstore: Chatstore, own_mongod: Mongod, own_database: Any):
    with running_server(own_chatstore, wait=False) as one, running_server(own_chatstore) as other:
        one.wait_until_it_serves()
        talks = [Talk(one, "one"), Talk(other, "other")]
        for talk in talks:
            talk.wait_for(50)
        own_mongod.pause()
        try:
            for talk in talks:
                talk.wait_for(len(talk.acknowledged) + 50)
            one.process.send_signal(signal.SIGTERM)
            acknowledged = talks[0].end()
            assert one.end(signal.SIGINT) == 130  # a second signal does not wait for MongoDB
            other.kill()
            acknowledged += talks[1].end()
        finally:
            own_mongod.resume()
    check_that_each_is_stored_once(own_chatstore, own_database, acknowledged)


def test_a_full_disk_refuses_messages_and_serves_the_rest(
    own_chatstore: Chatstore, own_database: Any, small_disk: Callable[[str], Path]
):
    folder = small_disk("size=64k")
    with running_server(own_chatstore, CHATSTORE_MONGO__CACHE__DISK_PATH=str(folder)) as server:
        answers = {number: server.say("s", f"{number} " + "x" * 10_000) for number in range(8)}
        kept = [number for number, answer in answers.items() if answer.status_code == 200]
        assert 1 <= len(kept) < 8
        refused = next(answer for answer in answers.values() if answer.status_code != 200)
        assert refused.status_code == 500
        assert refused.json() == {"detail": "The request failed. The server's log has the reason."}
        assert "No space left on device" in server.err
        with server.client() as client:
            assert client.get("/health").status_code == 200
            history = client.get("/api/chat/history?session_id=s").json()["messages"]
        said = {each["text"].split()[0] for each in history if each["role"] == "user"}
        assert {str(number) for number in kept} <= said
        small_disk("size=1m")
        assert server.say("s", "after").status_code == 200
        assert server.end() == 0
    stored = [text.split()[0] for text in users_texts(own_database["chat_messages"])]
    assert len(stored) == len(set(stored))
    assert {"after", *(str(number) for number in kept)} <= set(stored)
