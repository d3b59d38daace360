"""The output of `-o yaml` reads back as the output of `-o json`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.mongod import poll
from tests.support.stored_sessions import store_chats_and_journal
from tests.support.worker_processes import running_worker

if TYPE_CHECKING:
    from pymongo.database import Database

    from tests.conftest import Chatstore

# Two runs of each on the same data print the same values, except the keys in MEASURED.
COMMANDS = [
    "sessions list --limit 2",
    "sessions show triage-0",
    "sessions sizes",
    "history journal-a",
    "usage --by day",
    "usage explain triage-0",
    "usage reconcile",
    "resume triage-0",
    "resume triage-0 --as ag2",
    "resume old-4",
    "resume old-4 --as openai",
    "resume triage-0 --to history.jsonl --force",
    "flush-cache --dry-run",
    "cache status",
    "cache quarantine list",
    "indexes check",
    "ttl show",
    "verify",
    "db status",
    "config show",
    "config check --database other",
]
MEASURED = {"seconds", "messages_per_second", "uptime_seconds", "size_bytes", "detail", "age_seconds"}


def without_measured(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_measured(item) for key, item in value.items() if key not in MEASURED}
    return [without_measured(item) for item in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def reader(module_database: Database[dict[str, Any]], module_chatstore: Chatstore) -> Chatstore:
    """The command over the sample chats."""
    store_chats_and_journal(module_database, module_chatstore.folder)
    return module_chatstore


@pytest.mark.parametrize("command", COMMANDS)
def test_yaml_reads_back_as_the_json(reader: Chatstore, command: str) -> None:
    as_json = reader(*command.split(), "-o", "json")
    as_yaml = reader(*command.split(), "-o", "yaml")
    assert as_yaml.code == as_json.code, as_yaml.err
    expected = json.loads(as_json.out)
    assert without_measured(yaml.safe_load(as_yaml.out)) == without_measured(expected)


def test_the_cursor_of_the_next_page_is_in_the_object_and_not_on_stderr(reader: Chatstore) -> None:
    listed = reader("sessions", "list", "--limit", "2", "-o", "yaml")
    assert yaml.safe_load(listed.out)["next_cursor"]
    assert listed.err == ""


def test_watched_rows_are_a_document_each(reader: Chatstore) -> None:
    watched = ["sessions", "watch", "triage-0", "--since", "2026-01-01", "--count", "3", "-o"]
    documents = reader(*watched, "yaml").out
    assert documents.startswith("---\n")
    assert list(yaml.safe_load_all(documents)) == list(map(json.loads, reader(*watched, "jsonl").out.splitlines()))


def test_each_round_of_the_worker_is_a_document(chatstore: Chatstore, database: Database[dict[str, Any]]) -> None:
    store_chats_and_journal(database, chatstore.folder)
    with running_worker(chatstore, "-o", "yaml") as worker:
        poll(lambda: worker.out.count("---\n") == 1 and worker.out.endswith("\n"), what="the first row")
        assert worker.end() == 0
        documents = list(yaml.safe_load_all(worker.out))
    assert [(row["files"], row["stored"]) for row in documents] == [(1, 2)]
