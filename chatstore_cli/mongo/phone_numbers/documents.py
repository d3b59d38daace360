"""The bindings of phone numbers as the platform stores them, and their index (docs/layouts.md)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bson import ObjectId

from chatstore_cli.domain.foreign import OwnKind
from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.domain.phone_numbers import PhoneBinding, ProviderNumber
from chatstore_cli.mongo.bson_values import stored_instant
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.identifiers import id_text
from chatstore_cli.mongo.own_documents import Has, HasType, OwnDocuments, all_of

OWN_BINDINGS = OwnDocuments(
    OwnKind("a binding of a phone number", "bindings of phone numbers", "this platform"),
    all_of(HasType("_id", "objectId", (ObjectId,)), HasType("e164", "string", (str,)), Has("enabled")),
)
IS_LIVE: Document = {"enabled": True, "deletedAt": None}
"""The condition that a binding routes calls."""


def binding_index_spec(collection: str) -> IndexSpec:
    """The platform's own index, with the name that the platform gives to it: one live route for each number."""
    return IndexSpec(
        collection,
        "e164_1_enabled_1",
        (("e164", 1), ("enabled", 1)),
        unique=True,
        partial_filter=IS_LIVE,
        why="allows one live route for each phone number",
    )


def to_binding(document: Mapping[str, Any]) -> PhoneBinding:
    """The binding of a document."""
    return PhoneBinding(
        binding_id=str(document["_id"]),
        number=str(document["e164"]),
        tenant_id=_text(document.get("orgId")),
        agent_id=_text(document.get("agentId")) or None,
        enabled=document.get("enabled") is True,
        provider=_text(document.get("provider")),
        integration_id=_text(document.get("integrationId")),
        provider_number_id=_text(document.get("providerNumberId")),
        created_at=stored_instant(document.get("createdAt")),
        updated_at=stored_instant(document.get("updatedAt")),
    )


def new_binding(
    number: str, agent_id: str | None, owner: str | None, at: ProviderNumber | None, now: datetime
) -> Document:
    """The document of a new binding. If no provider is known, its fields are missing."""
    return {
        "_id": ObjectId(),
        **({} if owner is None else {"orgId": owner}),
        **provider_fields(at),
        "e164": number,
        "agentId": agent_id,
        "enabled": True,
        "deletedAt": None,
        "createdAt": now,
        "updatedAt": now,
        "__v": 0,
    }


def provider_fields(at: ProviderNumber | None) -> Document:
    """The fields of a number at its provider. The platform's ids of accounts are ObjectIds."""
    if at is None:
        return {}
    account = at.integration_id
    stored: Document = {}
    if account is not None:
        stored["integrationId"] = ObjectId(account) if ObjectId.is_valid(account) else account
    return {**stored, "provider": at.provider, "providerNumberId": at.number_id}


def _text(value: Any) -> str | None:
    return None if value is None else id_text(value)
