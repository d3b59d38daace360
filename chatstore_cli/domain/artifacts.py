"""Artifacts of workflow sessions, as the platform stores them. chatstore only reads artifacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from chatstore_cli.domain.session import Session, SessionStatus


@dataclass(frozen=True, slots=True)
class LastArtifact:
    """The artifact that a session showed last: `last_artifact` of its document. `payload` is any JSON value."""

    ui_tool_id: str | None
    event_id: str | None
    display: str | None
    workflow: str | None
    payload: Any
    updated_at: datetime | None


@dataclass(frozen=True, slots=True)
class ArtifactInstance:
    """An artifact with its state, which outlives the session that works on it."""

    artifact_id: str
    tenant_id: str | None
    workflow: str | None
    artifact_type: str | None
    state: dict[str, Any]
    last_active_session_id: str | None
    created_at: datetime | None
    updated_at: datetime | None


@dataclass(frozen=True, slots=True)
class WorkflowSession:
    """A document of `WorkflowSessions`: the artifact that a session of a workflow works on."""

    session_id: str
    tenant_id: str | None
    user_id: str | None
    workflow: str | None
    status: SessionStatus
    artifact_id: str | None
    created_at: datetime | None
    updated_at: datetime | None


@dataclass(frozen=True, slots=True)
class SessionArtifacts:
    """The artifacts of one session. `artifact_id` may name an instance that is not stored."""

    last: LastArtifact | None = None
    artifact_id: str | None = None
    instance: ArtifactInstance | None = None


NO_ARTIFACTS = SessionArtifacts()


class ArtifactReader(Protocol):
    """Reads artifacts. A document of another tenant is not returned."""

    def of_session(self, session: Session) -> SessionArtifacts:
        """The artifacts of a session. For a layout without artifacts they are empty."""

    def last_of(self, sessions: Sequence[Session]) -> Mapping[str, LastArtifact]:
        """The artifact that each session of a page showed last, by session id. Sessions without one are left out."""

    def instance(self, artifact_id: str, tenant_id: str) -> ArtifactInstance | None:
        """An artifact, or None."""

    def workflow_session(self, session_id: str, tenant_id: str) -> WorkflowSession | None:
        """The document of a session in `WorkflowSessions`, or None."""
