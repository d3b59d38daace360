"""`chatstore usage`, as a process on a real server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.stored_sessions import store_chats

if TYPE_CHECKING:
    from pymongo.database import Database

    from tests.conftest import Chatstore


@pytest.fixture(autouse=True)
def stored_chats(database: Database[dict[str, Any]]) -> None:
    store_chats(database)


def reported(chatstore: Chatstore, *arguments: str) -> dict[str, Any]:
    outcome = chatstore("usage", "-o", "json", *arguments)
    assert outcome.code == 0, outcome.err
    report: dict[str, Any] = json.loads(outcome.out)
    return report


@pytest.mark.parametrize(
    ("by", "key", "groups"),
    [
        ("tenant", "tenant_id", ["acme", "65e1a0b2c3d4e5f601234567", "=SUM(A1)", None]),
        ("user", "user_id", ["bob", "ada", "eve\x1b[31m", None]),
        ("workflow", "workflow", ["Triage", "写作", "Mail | *merge*", None]),
        ("status", "status", ["completed", "running", "failed", "unknown"]),
        ("day", "day", ["2026-01-24", "2026-03-01", "2026-03-02"]),
        ("month", "month", ["2026-01", "2026-03"]),
        ("session", "session_id", ["triage-1", "triage-0", "写作-2", "mail-3", "journal-a", "journal-b", "old-4"]),
    ],
)
def test_usage_by(chatstore: Chatstore, by: str, key: str, groups: list[str | None]) -> None:
    report = reported(chatstore, "--by", by)

    assert [item[key] for item in report["items"]] == groups
    assert sum(item["usage"]["total_tokens"] or 0 for item in report["items"]) == 1167
    assert report["totals"] == {
        "sessions": 7,
        "usage": {
            "prompt_tokens": 1031,
            "completion_tokens": 136,
            "total_tokens": 1167,
            "cached_tokens": None,
            "reasoning_tokens": None,
            "cost": "1.1021",
        },
        "cost_complete": False,
        "cost_unknown_sessions": 2,
    }


def test_an_unknown_cost_is_null_and_a_cost_of_zero_is_zero(chatstore: Chatstore) -> None:
    costs = {item["tenant_id"]: item["usage"]["cost"] for item in reported(chatstore)["items"]}

    assert costs == {"acme": "1.1021", "65e1a0b2c3d4e5f601234567": None, "=SUM(A1)": "0", None: None}


def test_the_table_shows_an_unknown_cost_and_ends_with_the_totals(chatstore: Chatstore) -> None:
    outcome = chatstore("usage")

    lines = {line.split()[0]: line.split()[-3:] for line in outcome.out.splitlines()}
    assert lines["65e1a0b2c3d4e5f601234567"] == ["15", "unknown", "1"]
    assert outcome.out.splitlines()[-1].split()[:2] == ["TOTAL", "7"]


def test_a_note_explains_on_which_day_a_session_counts(chatstore: Chatstore) -> None:
    outcome = chatstore("usage", "--by", "day")

    assert "count on the day of its last update (UTC)" in outcome.err
    assert "last update" not in outcome.out


def test_a_time_span_and_filters_select_the_sessions(chatstore: Chatstore) -> None:
    report = reported(chatstore, "--since", "2026-03-01", "--until", "2026-03-02T12:00:00Z", "--workflow", "Triage")

    assert (report["totals"]["sessions"], report["totals"]["usage"]["total_tokens"]) == (1, 1000)


def test_a_filter_that_flat_messages_cannot_answer_leaves_them_out_with_a_note(chatstore: Chatstore) -> None:
    outcome = chatstore("usage", "--by", "status", "--user", "ada")

    assert "The layout messages has no user, so its sessions are left out." in outcome.err
    assert "unknown  " not in outcome.out.splitlines()[1]


def test_no_sessions_are_an_empty_report_with_totals_of_zero(chatstore: Chatstore) -> None:
    report = reported(chatstore, "--until", "2001-01-01")

    assert report["items"] == []
    assert report["totals"]["usage"] == {
        "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0,
        "cached_tokens": None, "reasoning_tokens": None, "cost": None,
    }  # fmt: skip
    assert chatstore("usage", "--until", "2001-01-01").out == ""


def test_sums_of_many_small_costs_are_exact(chatstore: Chatstore, database: Database[dict[str, Any]]) -> None:
    """0.1 as a double is not a tenth; as money it is."""
    tokens = {"prompt_tokens": 1, "completion_tokens": 0, "total_tokens": 1, "total_cost": 0.1}
    database["chat_sessions"].insert_many(
        {"chat_id": f"dime-{index}", "enterprise_id": "dimes", "real_time_tracking": {"tokens": tokens}}
        for index in range(1000)
    )

    [row] = reported(chatstore, "--tenant", "dimes")["items"]

    assert row["usage"]["cost"] == "100"
