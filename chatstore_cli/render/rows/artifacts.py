"""Artifacts of a session as values of its row, and the fields that show them.

The keys are the output of -o json: they change only with a line in the changelog.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from chatstore_cli.domain.times import rfc3339
from chatstore_cli.render.listing import Column, plain

if TYPE_CHECKING:
    from chatstore_cli.domain.artifacts import ArtifactInstance, LastArtifact, SessionArtifacts


def artifact_values(artifacts: SessionArtifacts) -> dict[str, Any]:
    """The values that `sessions show` adds to the row of a session. Both are null for a session without artifacts."""
    return {"last_artifact": _last(artifacts.last), "artifact": _artifact(artifacts.artifact_id, artifacts.instance)}


def _last(last: LastArtifact | None) -> dict[str, Any] | None:
    if last is None:
        return None
    return {
        "ui_tool_id": last.ui_tool_id,
        "event_id": last.event_id,
        "display": last.display,
        "workflow": last.workflow,
        "payload": last.payload,
        "updated_at": rfc3339(last.updated_at),
    }


def _artifact(artifact_id: str | None, instance: ArtifactInstance | None) -> dict[str, Any] | None:
    """The artifact; null values if its document is missing."""
    if artifact_id is None:
        return None
    return {
        "artifact_id": artifact_id,
        "artifact_type": None if instance is None else instance.artifact_type,
        "workflow": None if instance is None else instance.workflow,
        "state": None if instance is None else instance.state,
        "last_active_session_id": None if instance is None else instance.last_active_session_id,
        "created_at": None if instance is None else rfc3339(instance.created_at),
        "updated_at": None if instance is None else rfc3339(instance.updated_at),
    }


def artifact_fields(row: Mapping[str, Any]) -> tuple[Column, ...]:
    """The fields of these values. A table has only those with a value, because most sessions have no artifact."""
    last, artifact = row["last_artifact"], row["artifact"]
    return (
        Column("last_artifact", "Last artifact", show=_named("ui_tool_id", "display"), in_table=last is not None),
        Column("artifact", "Artifact", show=_named("artifact_id", "artifact_type"), in_table=artifact is not None),
    )


def _named(name: str, kind: str) -> Any:
    """The cell of an object: its name, and its kind in brackets."""

    def show(value: Any) -> str:
        if not isinstance(value, Mapping):
            return ""
        return f"{plain(value[name])} ({plain(value[kind])})" if value[kind] else plain(value[name])

    return show
