"""Usage of a period: the server reads the sessions of that time by an index, whatever else is stored."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
OLD, RECENT = 1_500, 5
LAYOUTS = {
    "workflow": "chat_sessions",
    "general": "GeneralChatSessions",
    "threads": "chat_threads",
    "calls": "lk_transcripts",
    "agent_sessions": "sessions",
}
"""The collection of each layout that stores a time in each session."""
AGENT_SESSIONS = {"CHATSTORE_AGENTS__SESSIONS": "sessions", "CHATSTORE_AGENTS__MESSAGES": "messages"}
MOST_READ = 150
"""Documents of a collection: those of the period, and at most 101 with which the server compares plans."""


def times() -> Iterable[tuple[int, datetime]]:
    """The sessions before noon, and those from noon on."""
    yield from ((number, NOON - timedelta(seconds=OLD - number)) for number in range(OLD))
    yield from ((number, NOON + timedelta(minutes=number - OLD)) for number in range(OLD, OLD + RECENT))


def workflow(number: int, at: datetime) -> dict[str, Any]:
    tokens = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "total_cost": 0.5}
    return {
        "chat_id": f"w-{number}", "enterprise_id": "acme", "user_id": "ana", "workflow_name": "wf", "status": 0,
        "created_at": at, "updated_at": at, "real_time_tracking": {"tokens": tokens}, "messages": [{"content": "x"}],
    }  # fmt: skip


def general(number: int, at: datetime) -> dict[str, Any]:
    return {
        "_id": f"g-{number}", "chat_id": f"g-{number}", "app_id": "acme", "user_id": "ana", "session_type": "general",
        "general_label": "x", "general_sequence": number, "status": 0, "created_at": at, "last_updated_at": at,
        "messages": [{"content": "x", "sequence": 1}], "last_sequence": 1,
    }  # fmt: skip


def thread(number: int, at: datetime) -> dict[str, Any]:
    owner = {"user_id": "ana", "org_id": "acme"}
    return {"_id": f"t-{number}", **owner, "name": "x", "created_at": at, "updated_at": at, "last_sequence": 1}


def call(number: int, at: datetime) -> dict[str, Any]:
    stored = ObjectId(int(at.timestamp()).to_bytes(4, "big") + number.to_bytes(8, "big"))
    return {"_id": stored, "sessionId": f"c-{number}", "roomName": "x", "orgId": "acme", "chatHistory": []}


def agent_session(number: int, at: datetime) -> dict[str, Any]:
    return {"session_id": f"a-{number}", "user_id": "ana", "agent_id": "sales", "created_at": at, "updated_at": at}


@pytest.fixture(scope="module")
def filled(module_database, module_chatstore) -> Any:
    """The module's database with the sessions and the indexes of every layout."""
    for name, make in zip(LAYOUTS.values(), (workflow, general, thread, call, agent_session), strict=True):
        module_database[name].insert_many([make(number, at) for number, at in times()])
    for layout in LAYOUTS:
        done = module_chatstore("indexes", "apply", "--layout", layout, "--yes", env=AGENT_SESSIONS)
        assert done.code == 0, done.err
    return module_database


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "period", [("--since", "2026-03-02T12:00:00Z"), ("--until", "2026-03-02T11:35:04Z", "--since", "2020-01-01")]
)
def test_a_report_of_a_period_reads_the_sessions_of_that_time(filled, module_chatstore, layout, period):
    filled.command("profile", 2)
    done = module_chatstore("usage", "--layout", layout, "--by", "session", *period, "-o", "json", env=AGENT_SESSIONS)
    filled.command("profile", 0)
    reads = [*filled["system.profile"].find({"ns": f"{filled.name}.{LAYOUTS[layout]}"})]
    filled["system.profile"].drop()
    assert done.code == 0, done.err
    assert len(json.loads(done.out)["items"]) == (RECENT if period[0] == "--since" else 4)
    assert sum(each.get("docsExamined", 0) for each in reads) <= MOST_READ, [
        (each.get("planSummary"), each.get("docsExamined"), each["command"]) for each in reads
    ]
