"""Artifacts of workflow sessions: every variant is read, and of other tenants none."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from chatstore_cli import AG2PersistenceManager, NotFound
from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.artifacts import NO_ARTIFACTS, ArtifactInstance, LastArtifact, SessionArtifacts
from chatstore_cli.domain.session import Session, SessionStatus
from chatstore_cli.mongo.artifacts import (
    MongoArtifacts,
    artifact_of,
    last_artifact_of,
    workflow_session_of,
)
from chatstore_cli.mongo.connection import Connection
from tests.support.bson_values import VALUES
from tests.support.samples import sample_documents

CREATED, UPDATED = datetime(2026, 1, 5, 9, 0, 0, 250_000, UTC), datetime(2026, 1, 5, 9, 5, 0, 500_000, UTC)
ITINERARY = ArtifactInstance(
    artifact_id="artifact_0123456789ab",
    tenant_id="acme",
    workflow="Trips",
    artifact_type="Itinerary",
    state={"days": 3, "step": "draft", "price": "10.50"},
    last_active_session_id="chat_Trips_0a1b2c3d",
    created_at=CREATED,
    updated_at=UPDATED,
)


@pytest.fixture
def artifacts(any_connection: Connection) -> MongoArtifacts:
    """The sample documents; those of ChatSessions in the collection of workflow sessions."""
    for collection, documents in sample_documents("multi_agent"):
        name = "chat_sessions" if collection == "ChatSessions" else collection
        any_connection.database[name].insert_many(documents)
    return MongoArtifacts(any_connection, Settings())


def test_the_samples_are_read(artifacts: MongoArtifacts) -> None:
    assert artifacts.instance("artifact_0123456789ab", "acme") == ITINERARY
    empty = artifacts.instance("artifact_ba9876543210", "acme")
    assert empty is not None
    assert (empty.artifact_type, empty.state, empty.last_active_session_id) == (None, {}, None)
    row = artifacts.workflow_session("chat_0123456789ab", "acme")
    assert row is not None
    assert (row.user_id, row.workflow, row.status) == ("ana", "Trips", SessionStatus.RUNNING)
    assert (row.artifact_id, row.created_at, row.updated_at) == ("artifact_0123456789ab", CREATED, UPDATED)
    done = artifacts.workflow_session("chat_ba9876543210", "acme")
    assert done is not None
    assert (done.status, done.artifact_id) == (SessionStatus.COMPLETED, None)


def test_artifacts_of_another_tenant_and_missing_ones_are_none(artifacts: MongoArtifacts) -> None:
    assert artifacts.instance("artifact_0123456789ab", "birch") is None
    assert artifacts.workflow_session("chat_0123456789ab", "birch") is None
    assert artifacts.instance("artifact_", "acme") is None
    assert artifacts.workflow_session("chat_Trips_0a1b2c3d", "acme") is None


def test_a_session_has_what_it_showed_last_and_what_it_works_on(
    artifacts: MongoArtifacts, any_connection: Connection
) -> None:
    last = LastArtifact("itinerary", "evt_1", "artifact", "Trips", {"days": 3}, datetime(2026, 1, 5, 9, 4, tzinfo=UTC))
    session = Session("chat_Trips_0a1b2c3d", "workflow", tenant_id="acme")
    assert artifacts.of_session(session) == SessionArtifacts(last)
    rows = any_connection.database["WorkflowSessions"]
    row = {"_id": session.session_id, "app_id": "acme", "artifact_instance_id": "artifact_0123456789ab"}
    rows.insert_one(row)
    assert artifacts.of_session(session) == SessionArtifacts(last, "artifact_0123456789ab", ITINERARY)
    any_connection.database["ArtifactInstances"].delete_one({"_id": "artifact_0123456789ab"})
    assert artifacts.of_session(session) == SessionArtifacts(last, "artifact_0123456789ab", None)
    rows.update_one({"_id": session.session_id}, {"$set": {"app_id": "birch"}})
    assert artifacts.of_session(session) == SessionArtifacts(last)


def test_a_general_chat_and_a_database_without_artifacts_have_none(any_connection: Connection) -> None:
    reader = MongoArtifacts(any_connection, Settings())
    any_connection.database["chat_sessions"].insert_one({"chat_id": "chat-1", "app_id": "acme", "messages": []})
    assert reader.of_session(Session("chat-1", "workflow", tenant_id="acme")) == NO_ARTIFACTS
    assert reader.of_session(Session("chat-1", "general", tenant_id="acme")) == NO_ARTIFACTS
    assert reader.of_session(Session("chat-1", "workflow")) == NO_ARTIFACTS


FIELDS = (
    "_id", "app_id", "enterprise_id", "user_id", "workflow_name", "status", "artifact_instance_id", "artifact_type",
    "state", "last_active_chat_id", "created_at", "updated_at", "ui_tool_id", "event_id", "display", "payload",
)  # fmt: skip


@pytest.mark.parametrize("read", [artifact_of, workflow_session_of, last_artifact_of])
def test_any_value_in_any_field_is_read_without_an_error(read: Callable[[Any], Any]) -> None:
    for value in VALUES:
        read({"_id": "a", **dict.fromkeys(FIELDS, value)})
        read({**dict.fromkeys(FIELDS, value), "_id": "a"})
    assert last_artifact_of([]) is last_artifact_of(None) is None


@pytest.mark.real
def test_the_manager_and_sessions_show_have_the_artifacts(chatstore: Any, database: Any, mongo_uri: str) -> None:
    for collection, documents in sample_documents("multi_agent"):
        database["chat_sessions" if collection == "ChatSessions" else collection].insert_many(documents)
    session_id = "chat_Trips_0a1b2c3d"
    row = {"_id": session_id, "app_id": "acme", "artifact_instance_id": "artifact_0123456789ab"}
    database.WorkflowSessions.insert_one(row)
    with AG2PersistenceManager(mongo_uri, database.name) as manager:
        assert manager.session_artifacts(chat_id=session_id, app_id="acme").instance == ITINERARY
        with pytest.raises(NotFound):
            manager.session_artifacts(chat_id=session_id, app_id="birch")
    shown = json.loads(chatstore("sessions", "show", session_id, "-o", "json").out)
    assert shown["last_artifact"] == {
        "ui_tool_id": "itinerary",
        "event_id": "evt_1",
        "display": "artifact",
        "workflow": "Trips",
        "payload": {"days": 3},
        "updated_at": "2026-01-05T09:04:00Z",
    }
    assert shown["artifact"] == {
        "artifact_id": "artifact_0123456789ab",
        "artifact_type": "Itinerary",
        "workflow": "Trips",
        "state": {"days": 3, "step": "draft", "price": "10.50"},
        "last_active_session_id": session_id,
        "created_at": "2026-01-05T09:00:00.250000Z",
        "updated_at": "2026-01-05T09:05:00.500000Z",
    }
    table = chatstore("sessions", "show", session_id).out
    assert "Last artifact      itinerary (artifact)\n" in table
    assert "Artifact           artifact_0123456789ab (Itinerary)\n" in table
    assert "rtifact" not in chatstore("sessions", "show", "chat_Reports_ffffffff").out
