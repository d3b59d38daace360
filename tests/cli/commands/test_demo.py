"""`chatstore demo` as a process on a real server: it runs real commands and changes only its own data."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from chatstore_cli.core.demo.sample_chats import sample_chats
from chatstore_cli.core.demo.sample_threads import sample_threads
from chatstore_cli.core.demo.setup import DEMO_DATABASE, demo_steps
from chatstore_cli.domain.times import utc_now
from chatstore_cli.files.demo_folder import MarkedFolder
from chatstore_cli.mongo.connection import connect
from chatstore_cli.mongo.demo import MongoSampleStore
from tests.conftest import Chatstore, Outcome

EXPECTED = [
    {"command": shlex.join(["chatstore", *step.arguments]), "exit_code": 0, "expected": 0}
    for step in demo_steps(with_server=True)
]
Client = MongoClient[dict[str, Any]]


@pytest.fixture
def demo_database(mongo_client: Client) -> Iterator[Database[dict[str, Any]]]:
    """The database that the demo uses unless another is named."""
    mongo_client.drop_database(DEMO_DATABASE)
    yield mongo_client[DEMO_DATABASE]
    mongo_client.drop_database(DEMO_DATABASE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The demo's folder."""
    return tmp_path / "demo"


def _demo(chatstore: Chatstore, uri: str, folder: Path, *arguments: str) -> Outcome:
    return chatstore("demo", "--uri", uri, "--folder", folder, *arguments)


def _commands(shown: str) -> list[str]:
    return [line.removeprefix("$ ") for line in shown.splitlines() if line.startswith("$ chatstore")]


def test_the_demo_runs_every_step_and_can_run_again(
    chatstore: Chatstore,
    mongo_uri: str,
    database: Database[dict[str, Any]],
    demo_database: Database[dict[str, Any]],
    folder: Path,
) -> None:
    """Each sample is stored once, as a driver counts. The environment names the test's own database: it stays empty.

    The second run is one with -o json: the results of the steps are the data, and their output goes to stderr.
    """
    first = _demo(chatstore, mongo_uri, folder)
    assert (first.code, "Traceback" in first.err) == (0, False), first.out + first.err
    assert _commands(first.out) == [row["command"] for row in EXPECTED]
    _check_samples(demo_database, folder)

    second = _demo(chatstore, mongo_uri, folder, "-o", "json")
    assert second.code == 0, second.err
    assert json.loads(second.out)["items"] == EXPECTED
    assert _commands(second.err) == [row["command"] for row in EXPECTED]
    _check_samples(demo_database, folder)
    assert database.list_collection_names() == []

    # The exported variables select the demo's database in later commands.
    exported = [line.removeprefix("$ export ") for line in first.out.splitlines() if line.startswith("$ export ")]
    environment = {name: shlex.split(value)[0] for name, _, value in (line.partition("=") for line in exported)}
    closing = first.err.replace("'", "").partition("To remove the demo:\n")[2].splitlines()
    assert closing == [
        f"  chatstore demo --uri {mongo_uri} --folder {folder} --remove --yes",
        "  unset CHATSTORE_CONFIG",
    ]
    listed = chatstore("sessions", "list", "-o", "json", "--limit", "100", env=environment)
    sessions = demo_database.chat_sessions.count_documents({}) + len(demo_database.chat_messages.distinct("session_id"))
    sessions += demo_database.chat_threads.count_documents({})
    sessions += demo_database.GeneralChatSessions.count_documents({})
    assert len(json.loads(listed.out)["items"]) == sessions


def _check_samples(database: Database[dict[str, Any]], folder: Path) -> None:
    samples = sample_chats(utc_now())
    assert database.chat_messages.count_documents({}) == samples.journal_messages
    assert database.chat_sessions.count_documents({}) == len(samples.sessions)
    threads = list(sample_threads(utc_now()))
    assert database.chat_threads.count_documents({}) == len(threads) == 4
    assert database.chat_thread_messages.count_documents({}) == sum(len(messages) for _, messages in threads)
    assert len(list((folder / "journals").glob("*.jsonl"))) == len(samples.journals)
    chats = list(database.GeneralChatSessions.find().sort("created_at", 1))
    assert [(chat["user_id"], chat["general_sequence"], chat["last_sequence"]) for chat in chats] == [
        ("ana", 1, 2), ("tomasz", 1, 4), ("ana", 2, 4),
    ]  # fmt: skip
    [client_session] = database.chat_session_registry.find()
    [agent] = database.agents.find()
    [binding] = database.lk_telephony_bindings.find()
    assert [version["active"] for version in agent["versions"]] == [False, True]
    assert binding["agentId"] == str(agent["_id"])
    assert sum(each.get("refused") is not None for each in client_session["switches"]) == 1
    turns = sum(chat["last_sequence"] // 2 for chat in chats)
    assert database.usage_events.count_documents({"applied": True}) == len(samples.usage) + turns
    counters = {
        chat["chat_id"]: chat["real_time_tracking"]
        for chat in database.chat_sessions.find({"real_time_tracking.in_ledger": {"$exists": True}})
    }
    assert sum(counter["tokens"]["total_tokens"] for counter in counters.values()) == sum(
        max(row["total_tokens"] for row in database.usage_events.find({"chat_id": chat, "agent": agent}))
        for chat in counters
        for agent in database.usage_events.distinct("agent", {"chat_id": chat})
    )


def test_the_demo_does_not_change_a_database_with_other_content(
    chatstore: Chatstore, mongo_uri: str, database: Database[dict[str, Any]], folder: Path
) -> None:
    database.precious.insert_one({"_id": 1})
    done = _demo(chatstore, mongo_uri, folder, "--database", database.name)
    assert done.code == 4
    assert "did not create" in done.err
    assert database.list_collection_names() == ["precious"]
    assert not folder.exists()


def test_remove_does_not_change_a_database_with_other_content(
    chatstore: Chatstore, mongo_uri: str, database: Database[dict[str, Any]], folder: Path
) -> None:
    database.precious.insert_one({"_id": 1})
    done = _demo(chatstore, mongo_uri, folder, "--database", database.name, "--remove", "--yes")
    assert done.code == 4
    assert database.list_collection_names() == ["precious"]


def test_the_demo_does_not_change_a_folder_with_other_content(
    chatstore: Chatstore, mongo_uri: str, database: Database[dict[str, Any]], folder: Path
) -> None:
    folder.mkdir()
    (folder / "precious").write_text("mine")
    done = _demo(chatstore, mongo_uri, folder, "--database", database.name)
    assert done.code == 4
    assert [file.name for file in folder.iterdir()] == ["precious"]
    assert database.list_collection_names() == []


def test_remove_prints_its_plan_and_does_nothing_without_yes(
    chatstore: Chatstore, mongo_uri: str, demo_database: Database[dict[str, Any]], folder: Path
) -> None:
    MongoSampleStore(connect(mongo_uri, DEMO_DATABASE, timeout_seconds=10), "chat_sessions").replace([{}, {}])
    MarkedFolder(folder).replace({"journals/s-1.jsonl": ""})
    documents = 3  # two sessions and the mark

    refused = _demo(chatstore, mongo_uri, folder, "--remove")
    assert refused.code == 2
    assert f"{DEMO_DATABASE} ({documents} documents" in refused.err
    assert "--yes" in refused.err
    assert folder.exists()
    assert sum(demo_database[name].count_documents({}) for name in demo_database.list_collection_names()) == documents

    planned = _demo(chatstore, mongo_uri, folder, "--remove", "--dry-run", "--read-only", "--yes")
    assert (planned.code, "This would remove database" in planned.err, folder.exists()) == (0, True, True), planned.err
    assert demo_database.list_collection_names() != []
    assert _demo(chatstore, mongo_uri, folder, "--dry-run").code == 2

    removed = _demo(chatstore, mongo_uri, folder, "--remove", "--yes")
    assert removed.code == 0, removed.err
    assert not folder.exists()
    assert demo_database.list_collection_names() == []

    again = _demo(chatstore, mongo_uri, folder, "--remove")
    assert (again.code, again.err.splitlines()[-1]) == (0, "The demo has no database or folder to remove.")


def test_read_only_rejects_the_demo(chatstore: Chatstore, mongo_uri: str, folder: Path) -> None:
    done = _demo(chatstore, mongo_uri, folder, "--read-only")
    assert done.code == 4
    assert not folder.exists()


def test_an_unreachable_server_is_status_5(chatstore: Chatstore, folder: Path) -> None:
    impatient = {"CHATSTORE_MONGO__TIMEOUT_SECONDS": "0.5"}
    done = chatstore("demo", "--uri", "mongodb://ana:secret@127.0.0.1:9", "--folder", folder, env=impatient)
    assert done.code == 5
    assert "secret" not in done.err
    assert not folder.exists()
