"""Workflows of client sessions and their switches as rows, and the columns that show them.

The keys are the output of -o json: they change only with a line in the changelog.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chatstore_cli.domain.times import rfc3339
from chatstore_cli.render.listing import Column, plain

if TYPE_CHECKING:
    from chatstore_cli.domain.session_registry import RegistryEntry, Switch, WorkflowContext

_STYLES = {"active": "cyan", "paused": "yellow", "completed": "green"}


def workflow_row(entry: RegistryEntry, workflow: WorkflowContext) -> dict[str, Any]:
    """One workflow of a client session. `status` is active, paused or completed."""
    return {
        "session_key": entry.session.session_key,
        "session_id": workflow.chat_id,
        "workflow": workflow.workflow_name,
        "status": workflow.status,
        "artifact_id": workflow.artifact_id,
        "created_at": rfc3339(workflow.created_at),
        "last_active_at": rfc3339(workflow.last_active),
    }


def client_session_row(entry: RegistryEntry) -> dict[str, Any]:
    """One client session. `active` is the id of its active workflow session, null without an active one."""
    active = entry.active
    return {
        "session_key": entry.session.session_key,
        "tenant_id": entry.session.app_id,
        "user_id": entry.session.user_id,
        "active": None if active is None else active.chat_id,
        "general_mode": entry.general_mode,
        "updated_at": rfc3339(entry.updated_at),
    }


def change_row(entry: RegistryEntry, workflow: WorkflowContext | None, *, changed: bool) -> dict[str, Any]:
    """A client session after a change, with the workflow that the command named."""
    return {
        **client_session_row(entry),
        "session_id": None if workflow is None else workflow.chat_id,
        "workflow": None if workflow is None else workflow.workflow_name,
        "status": None if workflow is None else workflow.status,
        "artifact_id": None if workflow is None else workflow.artifact_id,
        "changed": changed,
    }


def switch_row(switch: Switch) -> dict[str, Any]:
    """One switch. `to_session_id` is the workflow session that it names, `refused` the reason if nothing was changed."""
    return {
        "at": rfc3339(switch.at),
        "action": switch.action,
        "from_session_id": switch.from_chat_id,
        "to_session_id": switch.to_chat_id,
        "refused": switch.refused,
        "connection": switch.connection,
        "version": switch.version,
    }


def _style(value: Any) -> str:
    return _STYLES.get(str(value), "")


def _to(row: Any) -> str:
    return "general mode" if row["action"] == "general" else plain(row["to_session_id"])


WORKFLOW_COLUMNS = (
    Column("session_key", "CLIENT SESSION", spare=2),
    Column("session_id", "SESSION", whole=True),
    Column("workflow", "WORKFLOW", spare=1),
    Column("status", "STATUS", style=_style, whole=True),
    Column("artifact_id", "ARTIFACT", spare=4),
    Column("created_at", "CREATED", is_time=True, in_table=False),
    Column("last_active_at", "LAST ACTIVE", is_time=True, whole=True, spare=3),
)
CHANGE_FIELDS = (
    Column("session_key", "Client session"),
    Column("tenant_id", "Tenant"),
    Column("user_id", "User"),
    Column("active", "Active session"),
    Column("general_mode", "General mode"),
    Column("updated_at", "Updated", is_time=True),
    Column("session_id", "Session"),
    Column("workflow", "Workflow"),
    Column("status", "Status", style=_style),
    Column("artifact_id", "Artifact"),
    Column("changed", "Changed"),
)
SWITCH_COLUMNS = (
    Column("at", "TIME", is_time=True, whole=True),
    Column("action", "ACTION", whole=True),
    Column("from_session_id", "FROM", spare=1),
    Column("to_session_id", "TO", show_row=_to),
    Column("refused", "REFUSED", spare=2, wraps=True),
    Column("connection", "CONNECTION", spare=3),
    Column("version", "VERSION", align="right", in_table=False),
)
