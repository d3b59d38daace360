"""Usage of turns and of general chats in reports: each layout once, and daily sums that do not grow with the turns."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from chatstore_cli.domain.usage_ledger import LedgerQuery
from chatstore_cli.mongo.usage.daily_sums import MongoDailySums
from chatstore_cli.mongo.usage.sums import MongoUsageSums
from tests.support.general_sessions import CHAT, NOW, count_turn, metrics_of, store_both

if TYPE_CHECKING:
    from pymongo.database import Database

    from chatstore_cli.mongo.connection import Connection
    from tests.conftest import Chatstore

pytestmark = pytest.mark.real


@pytest.fixture(autouse=True)
def stored(connection: Connection, database: Database[dict[str, Any]]) -> None:
    """Turns of a general chat and of a workflow session of the same id, and a general chat without ledger rows."""
    store_both(database)
    metrics = metrics_of(connection)
    for number in range(1, 9):
        count_turn(metrics, 10 - number, 1, turn_id=f"turn-{number}", agent_name="assistant")
    count_turn(metrics, 5, 5, 0.5, turn_id="turn-9", agent_name="assistant")
    count_turn(metrics, 300, 100, 0.25, turn_id="turn-1", session_type="workflow", agent_name="Writer")
    other = {"_id": "generalchat-acme-ada-0002", "chat_id": "generalchat-acme-ada-0002", "session_type": "general"}
    facts = {"app_id": "acme", "user_id": "ada", "messages": [], "last_updated_at": NOW, "usage_total_cost_final": 0.0}
    database["GeneralChatSessions"].insert_one({**other, **facts, "usage_total_tokens_final": 7})


def reported(chatstore: Chatstore, *arguments: str) -> dict[str, Any]:
    outcome = chatstore("usage", "-o", "json", *arguments)
    assert outcome.code == 0, outcome.err
    report: dict[str, Any] = json.loads(outcome.out)
    return report


def test_a_report_has_the_sessions_of_each_layout_once(chatstore: Chatstore) -> None:
    report = reported(chatstore, "--by", "session")
    found = {
        (row["layout"], row["session_id"]): (row["usage"]["total_tokens"], row["source"]) for row in report["items"]
    }
    assert found == {
        ("general", CHAT): (62, "ledger"),
        ("workflow", CHAT): (400, "ledger"),
        ("general", "generalchat-acme-ada-0002"): (7, "counters"),
    }
    assert report["totals"] == {
        "sessions": 3,
        "usage": {
            "prompt_tokens": 349,
            "completion_tokens": 113,
            "total_tokens": 469,
            "cached_tokens": None,
            "reasoning_tokens": None,
            "cost": "0.75",
        },
        "cost_complete": False,
        "cost_unknown_sessions": 2,
    }
    only = reported(chatstore, "--layout", "general", "--by", "agent")
    assert {row["agent"]: row["usage"]["total_tokens"] for row in only["items"]} == {"assistant": 62, None: 7}
    by_status = reported(chatstore, "--by", "status")
    assert {row["status"]: (row["usage"]["total_tokens"], row["sessions"]) for row in by_status["items"]} == {
        "running": (62, 1), "completed": (400, 1), "unknown": (7, 1)
    }  # fmt: skip


def test_names_with_dots_are_names_in_a_report(
    chatstore: Chatstore, connection: Connection, database: Database[dict[str, Any]]
) -> None:
    """The platform's statistics have names in paths of fields, so there a user `a.b@c.de` is an object in an object."""
    chat_id, user = "generalchat-acme-a.b@c.de-0001", "a.b@c.de"
    facts = {"app_id": "acme", "user_id": user, "session_type": "general", "messages": []}
    database["GeneralChatSessions"].insert_one({"_id": chat_id, "chat_id": chat_id, **facts})
    metrics_of(connection).update_session_metrics(
        chat_id, user, None, 3, 4, None, "acme", agent_name="$help.desk", session_type="general", turn_id="t.1"
    )
    report = reported(chatstore, "--user", user, "--by", "user", "--by", "agent")
    [row] = report["items"]
    assert (row["user_id"], row["agent"], row["usage"]["total_tokens"]) == (user, "$help.desk", 7)


def test_explain_chooses_a_session_by_its_layout(chatstore: Chatstore) -> None:
    both = chatstore("usage", "explain", CHAT)
    assert (both.code, "is in the layouts workflow and general. Choose one: --layout" in both.err) == (8, True)
    explained = json.loads(chatstore("usage", "explain", CHAT, "--layout", "general", "-o", "json").out)
    assert [row["counted"] for row in explained["items"]] == [True] * 9
    assert explained["totals"] == explained["counters"]
    assert "one turn" in chatstore("usage", "explain", CHAT, "--layout", "workflow").out


def test_daily_sums_do_not_grow_with_the_turns_of_a_day_and_reports_do_not_change(
    chatstore: Chatstore, connection: Connection, database: Database[dict[str, Any]]
) -> None:
    sums = MongoUsageSums(connection, "usage_events", "usage_daily")
    queries = [
        LedgerQuery(keys, layout=layout)
        for keys in (("day",), ("layout", "session_id"), ("agent", "day"), ("model",))
        for layout in (None, "general", "workflow")
    ]
    before = [sorted(sums.groups(query), key=str) for query in queries]
    list(MongoDailySums(connection, "usage_events", "usage_daily").roll_up())
    documents = {str(row["_id"]): row["days"] for row in database["usage_daily"].find()}
    assert set(documents) == {CHAT, str({"chat_id": CHAT, "layout": "general"})}
    # The turns of one session with a known cost are apart from the others.
    assert sorted(len(day["clients"]) for days in documents.values() for day in days) == [1, 2]
    assert [sorted(sums.groups(query), key=str) for query in queries] == before
    count_turn(metrics_of(connection), 1, 1, turn_id="turn-10", agent_name="assistant")  # a pending session of one id
    [general] = sums.groups(LedgerQuery(("layout",), layout="general"))
    assert (general.usage.total_tokens, general.usage.cost is None, general.unknown) == (64, False, 1)


def test_deleting_a_session_leaves_the_usage_of_the_other_layout(
    chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    assert chatstore("usage", "rollup").code == 0
    assert chatstore("sessions", "delete", CHAT, "--layout", "general", "--yes").code == 0
    assert [row.get("layout") for row in database["usage_events"].find()] == [None]
    assert [row["_id"] for row in database["usage_daily"].find()] == [CHAT]
    report = reported(chatstore, "--by", "session")
    assert {row["layout"]: row["usage"]["total_tokens"] for row in report["items"]} == {"workflow": 400, "general": 7}
