"""`update_session_metrics` on a real server: each turn counts once, in the ledger and in the counters of its session."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from chatstore_cli.core.usage.explain import differing_counters, explain_usage
from chatstore_cli.core.usage.metrics import SessionMetrics
from chatstore_cli.domain.errors import BadValue, ChatstoreError, Conflict, NotFound, OtherTenant
from chatstore_cli.domain.usage import Usage
from chatstore_cli.mongo.usage.ledger import MongoUsageLedger
from tests.support.general_sessions import CHAT, NOW, SHAPES, count_turn, final, ledger_of, metrics_of, store_both

if TYPE_CHECKING:
    from pymongo.database import Database

    from chatstore_cli.mongo.connection import Connection

pytestmark = pytest.mark.real


@pytest.fixture
def metrics(connection: Connection, database: Database[dict[str, Any]]) -> SessionMetrics:
    """The metrics of a database with one general chat and one workflow session, which have the same id."""
    store_both(database)
    return metrics_of(connection)


def test_turns_add_up_and_a_turn_that_is_reported_again_counts_once(
    metrics: SessionMetrics, connection: Connection, database: Database[dict[str, Any]]
) -> None:
    for prompt, completion, turn in ((100, 50, "a"), (7, 3, "b"), (100, 50, "a"), (7, 3, None), (7, 3, None)):
        count_turn(metrics, prompt, completion, 0.25 if turn == "b" else 0.0, turn_id=turn)
    assert final(database) == (121, 59, 180, 0.25)
    explanation = explain_usage(ledger_of(connection), CHAT)
    assert explanation.sums == explanation.counters == Usage(121, 59, 180, Decimal("0.25"))
    assert {row.reason for row in explanation.rows} == {"counted: one turn, which is added to all others"}
    assert list(differing_counters(ledger_of(connection))) == []


def test_a_row_has_the_facts_of_its_session_and_of_the_turn(
    metrics: SessionMetrics, database: Database[dict[str, Any]]
) -> None:
    at = datetime(2026, 2, 3, 4, tzinfo=UTC)
    count_turn(metrics, 5, 1, 0.0, turn_id="t", agent_name="assistant", event_ts=at, duration_sec=1.5)
    [row] = database["usage_events"].find()
    facts = (
        "layout",
        "chat_id",
        "turn_id",
        "tenant_id",
        "user_id",
        "workflow",
        "agent",
        "cost",
        "at",
        "duration_sec",
        "applied",
    )
    assert [row[name] for name in facts] == [
        "general", CHAT, "t", "acme", "ada", None, "assistant", None, at, 1.5, True
    ]  # fmt: skip


def test_a_turn_has_the_model_and_the_parts_of_its_tokens_that_were_reported(
    metrics: SessionMetrics, database: Database[dict[str, Any]]
) -> None:
    given = {"model_name": "gpt-4o", "cached_tokens": 3, "reasoning_tokens": 0}
    count_turn(metrics, 5, 1, turn_id="whole", **given)
    count_turn(metrics, 5, 1, turn_id="cached", cached_tokens=5)
    count_turn(metrics, 5, 1, turn_id="none")
    rows = {row["turn_id"]: row for row in database["usage_events"].find()}
    details = {turn: (row.get("cached_tokens"), row.get("reasoning_tokens")) for turn, row in rows.items()}
    assert details == {"whole": (3, 0), "cached": (5, None), "none": (None, None)}
    assert rows["whole"]["model"] == "gpt-4o"
    assert "cached_tokens" not in rows["none"]
    count_turn(metrics, 5, 1, turn_id="none", **given)  # an older version stored the turn without them
    for change in ({"model_name": "gpt-4.1"}, {"cached_tokens": 4}, {"reasoning_tokens": 1}):
        with pytest.raises(Conflict, match="already stored with other usage"):
            count_turn(metrics, 5, 1, turn_id="whole", **{**given, **change})
    assert final(database)[2] == 18


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"cached_tokens": 6}, r"cached_tokens: 6 is not None or .* at most the prompt_tokens \(5\)"),
        ({"reasoning_tokens": 2}, "reasoning_tokens: 2 is not None or .* at most the completion_tokens"),
        ({"cached_tokens": -1}, "cached_tokens"),
        ({"cached_tokens": True}, "cached_tokens"),
        ({"reasoning_tokens": "1"}, "reasoning_tokens"),
        ({"reasoning_tokens": float("nan")}, "reasoning_tokens"),
    ],
)
def test_a_part_of_the_tokens_is_not_more_than_all_of_them(
    metrics: SessionMetrics, database: Database[dict[str, Any]], given: dict[str, Any], error: str
) -> None:
    with pytest.raises(BadValue, match=error):
        count_turn(metrics, 5, 1, **given)
    assert database["usage_events"].count_documents({}) == 0


def test_a_session_of_the_same_id_in_another_layout_has_counters_and_rows_of_its_own(
    metrics: SessionMetrics, connection: Connection, database: Database[dict[str, Any]]
) -> None:
    database["GeneralChatSessions"].update_one({}, {"$set": {"usage_total_tokens_final": 1_000}})
    count_turn(metrics, 5, 1, turn_id="t")
    count_turn(metrics, 70, 30, 0.5, turn_id="t", session_type="workflow")
    assert final(database) == (5, 1, 1_006, 0.0)
    workflow = database["chat_sessions"].find_one({}) or {}
    tokens = {"prompt_tokens": 70, "completion_tokens": 30, "total_tokens": 100, "total_cost": 0.5}
    assert workflow["real_time_tracking"]["tokens"] == tokens
    assert (workflow["usage_total_tokens_final"], workflow["usage_total_cost_final"]) == (100, 0.5)
    ledgers = [ledger_of(connection, layout) for layout in SHAPES]
    assert [explain_usage(ledger, CHAT).sums.total_tokens for ledger in ledgers] == [100, 1_006]
    with pytest.raises(Conflict, match="is in the layouts workflow and general"):
        explain_usage(ledgers, CHAT)
    database["GeneralChatSessions"].update_one({}, {"$set": {"usage_total_tokens_final": 3}})
    assert [(each.layout, each.expected.total_tokens) for ledger in ledgers for each in differing_counters(ledger)] == [
        ("general", 1_006)
    ]


def test_a_turn_id_with_other_usage_is_a_conflict_and_counts_nothing(
    metrics: SessionMetrics, database: Database[dict[str, Any]]
) -> None:
    count_turn(metrics, 5, 1, Decimal("0.1"), turn_id="t")
    count_turn(metrics, 5, 1, 0.1, turn_id="t", event_ts=NOW.replace(hour=1))
    with pytest.raises(Conflict, match="is already stored with other usage"):
        count_turn(metrics, 6, 1, 0.1, turn_id="t")
    assert final(database) == (5, 1, 6, 0.1)


@pytest.mark.parametrize(
    ("session_type", "app_id", "chat_id", "error"),
    [
        ("general", "acme", "missing", NotFound),
        ("general", "other", CHAT, NotFound),
        ("workflow", "acme", "missing", NotFound),
        ("workflow", "other", CHAT, OtherTenant),
    ],
)
def test_a_missing_or_a_foreign_session_raises_and_nothing_is_stored(
    metrics: SessionMetrics,
    database: Database[dict[str, Any]],
    session_type: str,
    app_id: str,
    chat_id: str,
    error: Any,
) -> None:
    with pytest.raises(error):
        metrics.update_session_metrics(chat_id, "ada", "w", 1, 1, None, app_id, session_type=session_type, turn_id="t")
    assert database["usage_events"].count_documents({}) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"prompt": -1},
        {"prompt": float("nan")},
        {"completion": True},
        {"completion": "12"},
        {"completion": None},
        {"prompt": 10**12},
        {"cost": -0.1},
        {"cost": float("nan")},
        {"cost": "0.1"},
        {"cost": False},
        {"turn_id": ""},
        {"turn_id": "é" * 251},
        {"turn_id": "a\0b"},
        {"turn_id": "\ud800"},
        {"turn_id": 7},
        {"app_id": ""},
        {"event_ts": "soon"},
        {"duration_sec": -1},
        {"duration_sec": float("nan")},
        {"session_type": "threads"},
        {"session_type": ["general"]},
    ],
    ids=str,
)
def test_an_invalid_argument_raises_and_nothing_is_stored(
    metrics: SessionMetrics, database: Database[dict[str, Any]], wrong: dict[str, Any]
) -> None:
    with pytest.raises(BadValue):
        count_turn(metrics, **{"prompt": 1, "completion": 1, "turn_id": "t", **wrong})
    assert database["usage_events"].count_documents({}) == 0


@pytest.mark.parametrize(
    ("step", "turns_before"),
    [
        *((step, 0) for step in ("insert", "raise_counters", "mark_applied")),
        *((step, 1) for step in ("insert", "unapplied", "set_counters", "mark_applied")),
    ],
)
def test_a_turn_whose_answer_is_lost_at_any_step_counts_once_when_it_is_reported_again(
    metrics: SessionMetrics,
    connection: Connection,
    database: Database[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    turns_before: int,
) -> None:
    class Lost(Exception):
        pass

    original = getattr(MongoUsageLedger, step)

    def lost(*arguments: Any) -> Any:
        original(*arguments)
        raise Lost

    for _ in range(turns_before):
        count_turn(metrics, 20, 5)
    with monkeypatch.context() as patched:
        patched.setattr(MongoUsageLedger, step, lost)
        with pytest.raises(Lost):
            count_turn(metrics, 3, 1, turn_id="t")
    count_turn(metrics_of(connection), 3, 1, turn_id="t")
    assert final(database) == (3 + 20 * turns_before, 1 + 5 * turns_before, 4 + 25 * turns_before, 0.0)
    assert database["usage_events"].count_documents({"applied": True}) == 1 + turns_before


def test_eight_threads_that_report_the_same_turns_count_each_once(
    metrics: SessionMetrics, connection: Connection, database: Database[dict[str, Any]]
) -> None:
    failures: list[ChatstoreError] = []

    def report(first: int) -> None:
        own = metrics_of(connection)
        try:
            for number in range(6):
                turn = (first + number) % 6
                count_turn(own, 10 * turn, turn, turn_id=f"turn-{turn}")
        except ChatstoreError as error:
            failures.append(error)

    threads = [threading.Thread(target=report, args=(first,)) for first in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert final(database) == (150, 15, 165, 0.0)


def test_a_session_that_is_deleted_meanwhile_raises_and_leaves_no_row(
    metrics: SessionMetrics, database: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    insert = MongoUsageLedger.insert

    def deleted_before(*arguments: Any) -> set[str]:
        database["GeneralChatSessions"].delete_one({"_id": CHAT})
        return insert(*arguments)

    monkeypatch.setattr(MongoUsageLedger, "insert", deleted_before)
    with pytest.raises(NotFound, match="No session"):
        count_turn(metrics, 3, 1, turn_id="t")
    assert database["usage_events"].count_documents({}) == 0
