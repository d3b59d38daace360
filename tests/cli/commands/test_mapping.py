"""Journals of other applications: every command that reads journals reads them with the mapping."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from tests.conftest import Chatstore
from tests.support.journals import as_lines, instant, record, stored, wanted_of

pytestmark = pytest.mark.real
Documents = Database[dict[str, Any]]

MAPPING = "{text: body.content, created_at: timestamp, session_id: sessionId, roles: {bot: assistant, human: user}}"
OPTIONS = [
    "--map", "text=body.content, created_at=timestamp", "--map", "session_id=sessionId", "--map", "roles.bot=assistant",
    "--map", "roles.human=user",
]  # fmt: skip
WANTED = wanted_of([record(number) for number in range(4)])


def foreign(number: int, **fields: Any) -> dict[str, Any]:
    """The message of `record` as another application writes it."""
    return {
        "sessionId": "s1",
        "role": "bot" if number % 2 else "human",
        "body": {"content": f"message {number}", "lang": "en"},
        "timestamp": instant(number),
    } | fields


@pytest.fixture
def journal(chatstore: Chatstore) -> Path:
    """A journal of another application in the default folder."""
    folder = chatstore.folder / "data" / "cache" / "chat_sessions"
    folder.mkdir(parents=True)
    journal = folder / "s1.jsonl"
    journal.write_bytes(as_lines(foreign(number) for number in range(4)))
    return journal


def row(chatstore: Chatstore, *arguments: str) -> dict[str, Any]:
    outcome = chatstore(*arguments, "-o", "json")
    assert outcome.code in {0, 7}, outcome.err
    result: dict[str, Any] = json.loads(outcome.out)
    return result


def configure(chatstore: Chatstore, mapping: str = MAPPING) -> None:
    (chatstore.folder / "config.yaml").write_text(f"mongo:\n  cache:\n    mapping: {mapping}\n", "utf-8")


def test_every_command_reads_with_the_mapping(chatstore: Chatstore, database: Documents, journal: Path):
    configure(chatstore)
    status = row(chatstore, "cache", "status")
    assert (status["not_persisted"], status["to_quarantine"]) == (4, 0)
    shown = row(chatstore, "history", "s1")
    assert [item["content"] for item in shown["items"]] == [f"message {number}" for number in range(4)]
    assert row(chatstore, "flush-cache")["stored"] == 4
    assert stored(database) == WANTED
    assert all(document["body"] == {"lang": "en"} for document in database["chat_messages"].find())
    with journal.open("ab") as stream:
        stream.write(as_lines([foreign(5)]))
    worker = chatstore("worker", "--once")
    assert worker.code == 0, worker.err
    assert stored(database) == WANTED + wanted_of([record(5)])
    assert row(chatstore, "cache", "status")["not_persisted"] == 0
    checks = {check["name"]: check["status"] for check in json.loads(chatstore("verify", "-o", "json").out)["items"]}
    assert checks["journal-flushed"] == "pass", checks
    plan = chatstore("cache", "prune", "--older-than", "0s", "--dry-run", "-o", "json")
    assert plan.code == 0, plan.err
    assert json.loads(plan.out)["items"][0]["reason"] == "every line is stored"


def test_options_override_the_setting_and_the_ledger_keeps_mappings_apart(
    chatstore: Chatstore, database: Documents, journal: Path
):
    assert row(chatstore, "flush-cache")["quarantined"] == 4  # without a mapping
    assert row(chatstore, "flush-cache", *OPTIONS)["stored"] == 4
    assert row(chatstore, "flush-cache", *OPTIONS)["lines"] == 0
    assert row(chatstore, "flush-cache")["lines"] == 0
    configure(chatstore, '"text=none.such, roles.bot=system"')
    status = row(chatstore, "cache", "status", *OPTIONS)
    assert (status["not_persisted"], status["to_quarantine"]) == (0, 0)
    configure(chatstore)
    assert row(chatstore, "flush-cache")["lines"] == 0  # the same mapping, written otherwise
    assert stored(database) == WANTED
    assert json.loads(chatstore("cache", "quarantine", "list", "-o", "json").out)["items"] == []


def test_quarantined_lines_are_retried_and_edited_with_the_mapping(
    chatstore: Chatstore, database: Documents, journal: Path
):
    assert chatstore("flush-cache").code == 7
    configure(chatstore)
    assert row(chatstore, "cache", "quarantine", "edit", "1", "--set", "role=bot")["result"] == "stored"
    assert row(chatstore, "cache", "quarantine", "retry")["stored"] == 3
    assert row(chatstore, "flush-cache", "--ignore-ledger")["already_stored"] == 4
    changed = wanted_of([record(0, role="assistant"), *(record(number) for number in (1, 2, 3))])
    assert stored(database) == changed


@pytest.mark.parametrize("pairs", ["text", "=x", "text=", "body=text", "roles.bot=robot"])
def test_a_mapping_that_makes_no_sense_is_rejected(chatstore: Chatstore, journal: Path, pairs: str):
    outcome = chatstore("flush-cache", "--map", pairs)
    assert outcome.code == 2 and "--map" in outcome.err
    configure(chatstore, f'"{pairs}"')
    outcome = chatstore("flush-cache")
    assert outcome.code == 2 and "mongo.cache.mapping" in outcome.err
