"""A general chat and a workflow session that have the same id, and the metrics that count their turns."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pymongo.database import Database

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.usage.metrics import SessionMetrics
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.general.shape import GENERAL
from chatstore_cli.mongo.usage.ledger import MongoUsageLedger
from chatstore_cli.mongo.workflow.shape import WORKFLOW

CHAT = "generalchat-acme-ada-0001"
NOW = datetime(2026, 3, 1, 22, tzinfo=UTC)
SHAPES = {shape.layout: shape for shape in (WORKFLOW, GENERAL)}


def store_both(database: Database[dict[str, Any]]) -> None:
    """Store the general chat of ada and the workflow session of bob."""
    counters = {f"usage_{name}_tokens_final": 0 for name in ("prompt", "completion", "total")}
    chat = {"chat_id": CHAT, "app_id": "acme", "user_id": "ada", "session_type": "general", "messages": [], "status": 0}
    stored = {"_id": CHAT, **chat, "general_sequence": 1, "created_at": NOW, "last_updated_at": NOW}
    database["GeneralChatSessions"].insert_one({**stored, **counters, "usage_total_cost_final": 0.0})
    workflow = {"chat_id": CHAT, "enterprise_id": "acme", "user_id": "bob", "workflow_name": "triage", "messages": []}
    database["chat_sessions"].insert_one({**workflow, "status": 1, "updated_at": NOW, "usage_total_tokens_final": 0})


def ledger_of(connection: Connection, layout: str = "general") -> MongoUsageLedger:
    """The ledger of one layout."""
    return MongoUsageLedger(connection, Settings(), SHAPES[layout])


def metrics_of(connection: Connection) -> SessionMetrics:
    """New metrics, as another process has them."""
    return SessionMetrics(lambda layout: ledger_of(connection, layout), clock=lambda: NOW)


def count_turn(metrics: SessionMetrics, prompt: Any, completion: Any, cost: Any = None, **options: Any) -> None:
    """Count a turn of the general chat, or with `session_type` of the workflow session."""
    given = {"app_id": "acme", "session_type": "general"} | options
    metrics.update_session_metrics(CHAT, "ada", "GeneralCapability", prompt, completion, cost, **given)


def final(database: Database[dict[str, Any]]) -> tuple[Any, ...]:
    """The counters of the general chat."""
    document = database["GeneralChatSessions"].find_one({"_id": CHAT})
    assert document is not None
    names = ("prompt_tokens", "completion_tokens", "total_tokens", "total_cost")
    return tuple(document[f"usage_{name}_final"] for name in names)
