"""`chatstore demo` as a process, on a real server: it shows the real commands, and touches only what is its own."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from chatstore_cli.core.demo import DEMO_DATABASE, STEPS
from chatstore_cli.core.sample_chats import sample_chats
from chatstore_cli.domain.times import utc_now
from tests.conftest import Chatstore, Outcome

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


def test_the_demo_shows_every_step_twice_over_and_stores_each_sample_once(
    chatstore: Chatstore, mongo_uri: str, demo_database: Database[dict[str, Any]], folder: Path
) -> None:
    """The second run works as well as the first; what chatstore says it stored is what a driver counts."""
    samples = sample_chats(utc_now())
    for _ in range(2):
        done = _demo(chatstore, mongo_uri, folder)
        assert (done.code, "Traceback" in done.err) == (0, False), done.out + done.err
        assert _commands(done.out) == [shlex.join(["chatstore", *step.arguments]) for step in STEPS]
        assert demo_database.chat_messages.count_documents({}) == samples.journal_messages
        assert demo_database.chat_sessions.count_documents({}) == len(samples.sessions)
        assert len(list((folder / "journals").glob("*.jsonl"))) == len(samples.journals)


def test_the_demo_is_led_nowhere_else_by_the_environment(
    chatstore: Chatstore,
    mongo_uri: str,
    database: Database[dict[str, Any]],
    demo_database: Database[dict[str, Any]],
    folder: Path,
) -> None:
    """The fixture's environment names the test's own database; what the demo says to type leads to the samples."""
    done = _demo(chatstore, mongo_uri, folder)
    assert done.code == 0, done.out + done.err
    assert database.list_collection_names() == []
    exported = [line.removeprefix("$ export ") for line in done.out.splitlines() if line.startswith("$ export ")]
    environment = {name: shlex.split(value)[0] for name, _, value in (line.partition("=") for line in exported)}
    listed = chatstore("sessions", "list", "-o", "json", "--limit", "100", env=environment)
    sessions = demo_database.chat_sessions.count_documents({}) + len(demo_database.chat_messages.distinct("session_id"))
    assert len(json.loads(listed.out)["items"]) == sessions


def test_the_demo_leaves_a_database_alone_that_holds_anything_else(
    chatstore: Chatstore, mongo_uri: str, database: Database[dict[str, Any]], folder: Path
) -> None:
    database.precious.insert_one({"_id": 1})
    done = _demo(chatstore, mongo_uri, folder, "--database", database.name)
    assert done.code == 4
    assert "did not make" in done.err
    assert database.list_collection_names() == ["precious"]
    assert not folder.exists()


def test_removing_leaves_a_database_alone_that_holds_anything_else(
    chatstore: Chatstore, mongo_uri: str, database: Database[dict[str, Any]], folder: Path
) -> None:
    database.precious.insert_one({"_id": 1})
    done = _demo(chatstore, mongo_uri, folder, "--database", database.name, "--remove", "--yes")
    assert done.code == 4
    assert database.list_collection_names() == ["precious"]


def test_the_demo_leaves_a_folder_alone_that_holds_anything_else(
    chatstore: Chatstore, mongo_uri: str, database: Database[dict[str, Any]], folder: Path
) -> None:
    folder.mkdir()
    (folder / "precious").write_text("mine")
    done = _demo(chatstore, mongo_uri, folder, "--database", database.name)
    assert done.code == 4
    assert [file.name for file in folder.iterdir()] == ["precious"]
    assert database.list_collection_names() == []


def test_removing_says_what_goes_and_does_nothing_without_yes(
    chatstore: Chatstore, mongo_uri: str, demo_database: Database[dict[str, Any]], folder: Path
) -> None:
    shown = _demo(chatstore, mongo_uri, folder).err
    documents = sum(demo_database[name].estimated_document_count() for name in demo_database.list_collection_names())

    refused = _demo(chatstore, mongo_uri, folder, "--remove")
    assert refused.code == 2
    assert f"{DEMO_DATABASE} ({documents} documents" in refused.err
    assert "--yes" in refused.err
    assert folder.exists()
    assert sum(demo_database[name].count_documents({}) for name in demo_database.list_collection_names()) == documents

    removal = next(line for line in shown.splitlines() if line.startswith("To remove it all: chatstore "))
    removed = chatstore(*shlex.split(removal.removeprefix("To remove it all: chatstore ")))
    assert removed.code == 0, removed.err
    assert not folder.exists()
    assert demo_database.list_collection_names() == []

    again = _demo(chatstore, mongo_uri, folder, "--remove")
    assert (again.code, again.err.splitlines()[-1]) == (0, "There is nothing of the demo to remove.")


def test_with_json_the_steps_are_the_data_and_their_output_is_talk(
    chatstore: Chatstore, mongo_uri: str, demo_database: Database[dict[str, Any]], folder: Path
) -> None:
    done = _demo(chatstore, mongo_uri, folder, "-o", "json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["items"] == [
        {"command": shlex.join(["chatstore", *step.arguments]), "exit_code": 0, "expected": 0} for step in STEPS
    ]
    assert _commands(done.err) == [shlex.join(["chatstore", *step.arguments]) for step in STEPS]


def test_read_only_refuses_the_demo(chatstore: Chatstore, mongo_uri: str, folder: Path) -> None:
    done = _demo(chatstore, mongo_uri, folder, "--read-only")
    assert done.code == 4
    assert not folder.exists()


def test_a_server_that_cannot_be_reached_ends_it_with_5(chatstore: Chatstore, folder: Path) -> None:
    impatient = {"CHATSTORE_MONGO__TIMEOUT_SECONDS": "0.5"}
    done = chatstore("demo", "--uri", "mongodb://ana:secret@127.0.0.1:9", "--folder", folder, env=impatient)
    assert done.code == 5
    assert "secret" not in done.err
    assert not folder.exists()
