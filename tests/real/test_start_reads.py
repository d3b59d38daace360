"""How many sessions the start of a workflow reads: a few, however many its user and its tenant have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.queries import SessionQuery
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.layouts.registry import LAYOUTS
from chatstore_cli.mongo.workflow.newest_created import MongoCreatedChats

pytestmark = pytest.mark.real

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SESSIONS = 1_430
MOST = 150
"""The server returns up to 20 documents of each way to store a tenant, and compares two indexes with up to 101 of each."""


@pytest.mark.parametrize("tenant_field", ["enterprise_id", "app_id"])
def test_a_start_reads_few_of_the_many_sessions_of_its_user(
    database: Database[Any], connection: Connection, tenant_field: str
) -> None:
    def session(number: int, user: str) -> dict[str, Any]:
        at = NOON + timedelta(seconds=number)
        names = {"_id": f"{user}-{number}", "chat_id": f"{user}-{number}", tenant_field: "acme", "user_id": user}
        return {**names, "workflow_name": "plan", "status": 0, "created_at": at, "updated_at": at, "messages": []}

    sessions = database["chat_sessions"]
    sessions.insert_many([session(number, "ana") for number in range(SESSIONS)])
    sessions.insert_many([session(SESSIONS + number, f"u{number % 7}") for number in range(3 * SESSIONS)])
    for spec in LAYOUTS["workflow"](connection, Settings()).index_specs():
        options: dict[str, Any] = (
            {} if spec.partial_filter is None else {"partialFilterExpression": spec.partial_filter}
        )
        database[spec.collection].create_index(list(spec.keys), name=spec.name, **options)
    database.command("profile", 2)
    query = SessionQuery(tenant_id="acme", user_id="ana", workflow="plan")
    found = MongoCreatedChats(connection, Settings()).newest(query, 20)
    database.command("profile", 0)
    assert [each.session.session_id for each in found] == [f"ana-{SESSIONS - 1 - number}" for number in range(20)]
    reads = list(database["system.profile"].find({"op": "query", "ns": f"{database.name}.chat_sessions"}))
    assert 20 <= sum(each["docsExamined"] for each in reads) <= MOST, reads
