"""Reads `last_artifact` of sessions, `ArtifactInstances` and `WorkflowSessions` in every variant (docs/layouts.md).

A field of a wrong type is treated as missing, and nothing in a document raises an error. Times are epoch seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.artifacts import (
    NO_ARTIFACTS,
    ArtifactInstance,
    LastArtifact,
    SessionArtifacts,
    WorkflowSession,
)
from chatstore_cli.domain.session import Session, SessionStatus
from chatstore_cli.mongo.bson_values import json_value, stored_instant
from chatstore_cli.mongo.collections import collection_facts
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.identifiers import addressable_id, id_values
from chatstore_cli.mongo.session_documents.collection import SessionCollection
from chatstore_cli.mongo.session_documents.documents import STATUSES
from chatstore_cli.mongo.session_documents.shape import TENANT_FIELDS
from chatstore_cli.mongo.workflow.shape import WORKFLOW


class MongoArtifacts:
    """The artifacts of the workflow sessions of one database. A general chat has none."""

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self._connection = connection
        self._sessions = SessionCollection(WORKFLOW, connection, settings)
        names = settings.layouts.general
        self._instances, self._workflow_sessions = names.artifacts, names.workflow_sessions

    def of_session(self, session: Session) -> SessionArtifacts:
        """The artifacts of a session."""
        if session.layout != WORKFLOW.layout:
            return NO_ARTIFACTS
        document = self._sessions.locate(session.session_id, {"last_artifact": 1}) or {}
        last = last_artifact_of(document.get("last_artifact"))
        if session.tenant_id is None:
            return SessionArtifacts(last)
        row = self.workflow_session(session.session_id, session.tenant_id)
        if row is None or row.artifact_id is None:
            return SessionArtifacts(last)
        return SessionArtifacts(last, row.artifact_id, self.instance(row.artifact_id, session.tenant_id))

    def last_of(self, sessions: Sequence[Session]) -> Mapping[str, LastArtifact]:
        """The last artifact of each session, by session id, in one query."""
        values = [value for session in sessions for value in id_values(session.session_id)]
        if not values:
            return {}
        fields = WORKFLOW.id_fields
        found: dict[str, dict[str, LastArtifact]] = {field: {} for field in fields}
        match = {"$or": [{field: {"$in": values}} for field in fields]}
        with driver_errors(f"reading artifacts in {self._sessions.name}"):
            for row in self._sessions.sessions.find(match, {"last_artifact": 1, **dict.fromkeys(fields, 1)}):
                last = last_artifact_of(row.get("last_artifact"))
                for field in fields:
                    if last is not None and (session_id := _id(row.get(field))) is not None:
                        found[field].setdefault(session_id, last)
        return {key: last for field in reversed(fields) for key, last in found[field].items()}

    def instance(self, artifact_id: str, tenant_id: str) -> ArtifactInstance | None:
        """An artifact, or None."""
        document = self._found(self._instances, artifact_id)
        found = None if document is None else artifact_of(document)
        return found if found is not None and found.tenant_id == tenant_id else None

    def workflow_session(self, session_id: str, tenant_id: str) -> WorkflowSession | None:
        """The document of a session in `WorkflowSessions`, or None."""
        document = self._found(self._workflow_sessions, session_id)
        found = None if document is None else workflow_session_of(document)
        return found if found is not None and found.tenant_id == tenant_id else None

    def _found(self, name: str, identity: str) -> Document | None:
        if not collection_facts(self._connection, name).exists:
            return None  # most databases have no artifacts, and a user may have no right on a collection of that name
        collection = self._connection.collection(name)
        with driver_errors(f"looking up {identity!r} in {name}"):
            found = (collection.find_one({"_id": value}) for value in id_values(identity))
            return next((document for document in found if document is not None), None)


def last_artifact_of(stored: Any) -> LastArtifact | None:
    """The value of `last_artifact`; None if it is not an object."""
    if not isinstance(stored, dict):
        return None
    return LastArtifact(
        ui_tool_id=_id(stored.get("ui_tool_id")),
        event_id=_id(stored.get("event_id")),
        display=_text(stored.get("display")),
        workflow=_text(stored.get("workflow_name")),
        payload=json_value(stored.get("payload")),
        updated_at=stored_instant(stored.get("updated_at")),
    )


def artifact_of(document: Mapping[str, Any]) -> ArtifactInstance | None:
    """The artifact of a document; None if its `_id` cannot be written as text."""
    artifact_id, state = _id(document.get("_id")), document.get("state")
    if artifact_id is None:
        return None
    return ArtifactInstance(
        artifact_id=artifact_id,
        tenant_id=_tenant(document),
        workflow=_text(document.get("workflow_name")),
        artifact_type=_text(document.get("artifact_type")),
        state=json_value(state) if isinstance(state, dict) else {},
        last_active_session_id=_id(document.get("last_active_chat_id")),
        created_at=stored_instant(document.get("created_at")),
        updated_at=stored_instant(document.get("updated_at")),
    )


def workflow_session_of(document: Mapping[str, Any]) -> WorkflowSession | None:
    """The workflow session of a document; None if its `_id` cannot be written as text."""
    session_id, status = _id(document.get("_id")), document.get("status")
    if session_id is None:
        return None
    return WorkflowSession(
        session_id=session_id,
        tenant_id=_tenant(document),
        user_id=_id(document.get("user_id")),
        workflow=_text(document.get("workflow_name")),
        status=STATUSES.get(status.lower(), SessionStatus.UNKNOWN)
        if isinstance(status, str)
        else SessionStatus.UNKNOWN,
        artifact_id=_id(document.get("artifact_instance_id")),
        created_at=stored_instant(document.get("created_at")),
        updated_at=stored_instant(document.get("updated_at")),
    )


def _tenant(document: Mapping[str, Any]) -> str | None:
    return next(filter(None, (_id(document.get(field)) for field in TENANT_FIELDS)), None)


def _id(value: Any) -> str | None:
    return addressable_id(value) or None


def _text(value: Any) -> str | None:
    return str(value) if isinstance(value, str) and value else None
