"""Entries of the session registry as documents (docs/layouts.md), and their indexes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from chatstore_cli.domain.errors import Conflict
from chatstore_cli.domain.foreign import OwnKind
from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.domain.indexes.ttl import DAY_SECONDS
from chatstore_cli.domain.session_registry import (
    ClientSession,
    RegistryEntry,
    Switch,
    WorkflowContext,
)
from chatstore_cli.domain.times import as_utc
from chatstore_cli.mongo.bson_values import whole_number
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.own_documents import OwnDocuments, has_all

OWN_ENTRIES = OwnDocuments(
    OwnKind("an entry", "entries", "the session registry"), has_all("session_key", "workflows", "switches")
)
_NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)


def registry_index_specs(collection: str, keep_days: int) -> tuple[IndexSpec, ...]:
    """The indexes of the session registry. MongoDB deletes an entry `keep_days` after its last change."""
    own = {"session_key": {"$exists": True}}  # MongoDB must not delete documents of others
    return (
        IndexSpec(
            collection,
            "registry_expiry_idx",
            (("updated_at", 1),),
            partial_filter=own,
            expire_after_seconds=keep_days * DAY_SECONDS,
            why="deletes an entry of the session registry some days after its last change",
        ),
        IndexSpec(
            collection,
            "registry_user_idx",
            (("app_id", 1), ("user_id", 1), ("updated_at", -1)),
            why="lists a user's client sessions, newest first",
        ),
    )


def entry_id(session: ClientSession) -> str:
    """The `_id`: a hash, so that different client sessions have different ids of one length under every collation.

    The hashed text is a JSON array of tenant, user and key, so that no two client sessions have the same text.
    """
    return hashlib.sha256(json.dumps(list(session)).encode()).hexdigest()


def to_entry(document: Document) -> RegistryEntry:
    """The entry of a document. Raises Conflict if its version or its workflows cannot be read."""
    version = whole_number(document.get("version"))
    workflows = document.get("workflows")
    if version is None or version < 0 or not isinstance(workflows, list):
        raise Conflict(
            what=f"Entry {document.get('_id')!r} of the session registry: `version` or `workflows` is not valid.",
            hint="Nothing was changed. Repair or delete the document.",
        )
    session = ClientSession(*(str(document.get(name)) for name in ClientSession._fields))
    return RegistryEntry(
        session,
        tuple(_to_workflow(each, session) for each in workflows if _is_workflow(each)),
        general_mode=document.get("general_mode") is True,
        version=version,
        updated_at=_instant(document.get("updated_at")),
        stored=workflows,
    )


def workflow_documents(entry: RegistryEntry) -> list[Any]:
    """The workflows of an entry as they are stored. Unchanged and unknown fields are kept as they were read."""
    stored = entry.stored or []
    known = {each["chat_id"]: each for each in stored if _is_workflow(each)}
    unknown = [each for each in stored if not _is_workflow(each)]
    return [*unknown, *(_changed(known.get(each.chat_id), each, entry.session) for each in entry.workflows)]


def _changed(stored: Document | None, workflow: WorkflowContext, session: ClientSession) -> Document:
    fields = _workflow_document(workflow)
    if stored is None:
        return fields
    before = _workflow_document(_to_workflow(stored, session))
    return {**stored, **{name: value for name, value in fields.items() if value != before[name]}}


def switch_document(switch: Switch) -> Document:
    """A switch as it is stored."""
    document: Document = {
        "version": switch.version,
        "action": str(switch.action),
        "by": switch.connection,
        "from": switch.from_chat_id,
        "to": switch.to_chat_id,
        "at": switch.at,
    }
    return document if switch.refused is None else {**document, "refused": switch.refused}


def to_switches(stored: Any) -> Iterable[Switch]:
    """The switches that can be read."""
    for each in stored if isinstance(stored, list) else []:
        if isinstance(each, dict):
            yield Switch(
                action=str(each.get("action")),
                connection=str(each.get("by")),
                from_chat_id=each.get("from"),
                to_chat_id=each.get("to"),
                at=_instant(each.get("at")) or _NO_TIME,
                version=whole_number(each.get("version")) or 0,
                refused=each.get("refused"),
            )


def _workflow_document(workflow: WorkflowContext) -> Document:
    """Without tenant and user, which are those of the entry."""
    return {
        "chat_id": workflow.chat_id,
        "workflow_name": workflow.workflow_name,
        "artifact_id": workflow.artifact_id,
        "status": workflow.status,
        "created_at": workflow.created_at,
        "last_active": workflow.last_active,
    }


def _is_workflow(stored: Any) -> bool:
    return isinstance(stored, dict) and isinstance(stored.get("chat_id"), str)


def _to_workflow(stored: Document, session: ClientSession) -> WorkflowContext:
    artifact = stored.get("artifact_id")
    return WorkflowContext(
        chat_id=stored["chat_id"],
        workflow_name=str(stored.get("workflow_name") or ""),
        app_id=session.app_id,
        user_id=session.user_id,
        artifact_id=artifact if isinstance(artifact, str) else None,
        status=str(stored.get("status")),
        created_at=_instant(stored.get("created_at")) or _NO_TIME,
        last_active=_instant(stored.get("last_active")) or _NO_TIME,
    )


def _instant(value: Any) -> datetime | None:
    return as_utc(value) if isinstance(value, datetime) else None
