"""The versions in the document of an agent, the present one, and what an update stores.

The present content of an agent is `config` (and `name` and `description`, if they are at the top of its document). The
active entry of `versions` has the same. If there is no such entry, because the agent was never changed or was changed by a
writer that keeps no versions, the present version has an id that is computed from the document, so that every reader and
writer gives it the same one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import NAMESPACE_OID, uuid4, uuid5

import bson
from bson import DBRef
from bson.codec_options import CodecOptions, DatetimeConversion

from chatstore_cli.core.agents.stored_values import restored
from chatstore_cli.core.agents.versions import VersionFacts, places_to_keep
from chatstore_cli.domain.agents.models import Agent, AgentContent
from chatstore_cli.domain.errors import Conflict
from chatstore_cli.mongo.agents.documents import milliseconds_of
from chatstore_cli.mongo.bson_values import json_value, stored_instant
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.identifiers import id_text

_LARGEST_DOCUMENT = 15 * 1024 * 1024
"""Bytes of a document beside which the update command and its condition have room."""
_MOST_COMPARED = 1_000
"""Version ids in a condition. The platform keeps all versions, and the server compares each id with each entry."""
_NAMES = ("name", "description")
_AS_READ: CodecOptions[Mapping[str, Any]] = CodecOptions(
    tz_aware=True, datetime_conversion=DatetimeConversion.DATETIME_AUTO
)


class Update(NamedTuple):
    """What an update stores: fields to set, and the entries to copy to the archive before."""

    fields: Document
    archived: list[Document]


def present_entry(document: Mapping[str, Any], entries: list[Document]) -> Document:
    """The entry of the present content: the first active one if it has this content, else a new one."""
    active = next((entry for entry in entries if entry.get("active") is True), None)
    present = _content_of(document)
    if active is not None and all(
        key not in active or _bytes_of(active[key]) == _bytes_of(value) for key, value in present.items()
    ):
        return active
    changed_at = document.get("updatedAt")
    seed = f"{document['_id']}:{milliseconds_of(changed_at)}:".encode() + _bytes_of(present)
    version_id = uuid5(NAMESPACE_OID, seed.hex())
    return {"versionId": str(version_id), **present, "active": True, "createdAt": changed_at}


def entries_of(document: Mapping[str, Any]) -> list[Document]:
    """The stored entries of `versions` that are objects."""
    versions = document.get("versions")
    return [dict(entry) for entry in versions if isinstance(entry, Mapping)] if isinstance(versions, list) else []


def all_entries(document: Mapping[str, Any]) -> list[Document]:
    """The entries with the present content, which alone is active, each with its configuration."""
    entries = entries_of(document)
    present = present_entry(document, entries)
    if not any(entry is present for entry in entries):
        entries.append(present)
    return [
        {**entry, **({} if "config" in entry else {"config": document["config"]}), "active": True}
        if entry is present
        else {**entry, "active": False}
        for entry in entries
    ]


def update_to(document: Mapping[str, Any], agent: Agent, content: AgentContent, *, now: datetime) -> Update | None:
    """The update that stores new content of an agent as a new active version; None if it equals the present content.

    What equals the JSON value of the stored one is stored as it is, whatever its type.
    """
    stored = document["config"]
    config = restored(dict(content.config), json_value(stored), stored)
    fields: Document = {"config": config}
    if not agent.names_in_config:
        same = {"name": content.name == agent.name, "description": content.description == agent.description}
        given = {"name": content.name, "description": content.description}
        names = {name: document[name] if name in document and same[name] else given[name] for name in _NAMES}
        fields = {**names, **fields}
    if all(name in document and _bytes_of(document[name]) == _bytes_of(value) for name, value in fields.items()):
        return None
    new = {"versionId": str(uuid4()), **fields, "active": True, "createdAt": now}
    entries = [{**entry, "active": False} for entry in _checked_entries(document)]
    return _update(document, fields, [*entries, new], now)


def activation_of(
    document: Mapping[str, Any], version_id: str, archived: Mapping[str, Any] | None, *, now: datetime
) -> Update | None:
    """The update that makes a version the present content; None if it is that already.

    `archived` is its document in the archive, if it is not in `versions`. Raises KeyError if there is no such version.
    """
    entries = _checked_entries(document)
    chosen = next((entry for entry in entries if id_text(entry.get("versionId")) == version_id), None)
    if chosen is None:
        if archived is None:
            raise KeyError(version_id)
        chosen = {name: value for name, value in archived.items() if name not in ("_id", "agentId", "orgId")}
        entries.append(chosen)
    elif chosen["active"] is True:
        return None
    if not isinstance(chosen.get("config"), Mapping | DBRef):
        raise Conflict(
            what=f"Version {version_id} of agent {document['_id']} has no configuration. Nothing was changed.",
            hint="Activate another version, or store its configuration with an update.",
        )
    fields = {name: chosen[name] for name in _content_of(document) if name in chosen}
    activated = [{**entry, "active": entry is chosen} for entry in entries]
    return _update(document, fields, activated, now)


def unchanged_since(document: Mapping[str, Any]) -> Document:
    """The condition that nobody has changed an agent since it was read: its `updatedAt` and its version ids."""
    versions = document.get("versions")
    condition: Document = {"updatedAt": {"$eq": document.get("updatedAt")}}
    if not isinstance(versions, list):
        return {**condition, "versions": {"$eq": versions} if "versions" in document else {"$exists": False}}
    ids = [entry["versionId"] for entry in entries_of(document) if type(entry.get("versionId")) is str]
    if ids:
        condition["versions.versionId"] = {"$all": ids[-_MOST_COMPARED:]}
    return {**condition, "versions": {"$size": len(versions)}}


def _update(document: Mapping[str, Any], fields: Document, entries: list[Document], now: datetime) -> Update:
    others = {name: value for name, value in document.items() if name != "versions"} | fields
    size = len(bson.encode(others))
    facts = [
        VersionFacts(entry["active"], stored_instant(entry.get("createdAt")), len(bson.encode(entry)))
        for entry in entries
    ]
    kept = set(places_to_keep(facts, size))
    archived = [entry for place, entry in enumerate(entries) if place not in kept]
    stays = [entry for place, entry in enumerate(entries) if place in kept]
    if size + sum(facts[place].size for place in kept) > _LARGEST_DOCUMENT:
        # The configuration does not fit twice. The active entry is the only one left, and has that of the document.
        stays = [{name: value for name, value in entry.items() if name != "config"} for entry in stays]
    return Update({**fields, "versions": stays, "updatedAt": now}, archived)


def _checked_entries(document: Mapping[str, Any]) -> list[Document]:
    versions = document.get("versions")
    is_list = isinstance(versions, list) and all(isinstance(entry, Mapping) for entry in versions)
    if versions is not None and not is_list:
        raise Conflict(
            what=f"Agent {document['_id']}: `versions` is not a list of versions. Nothing was changed.",
            hint="Correct or remove the field `versions` of its document.",
        )
    return all_entries(document)


def _content_of(document: Mapping[str, Any]) -> Document:
    return {name: document[name] for name in (*_NAMES, "config") if name in document}


def _bytes_of(value: Any) -> bytes:
    """The BSON of a value as it is after it was stored and read: the driver orders the fields of a DBRef."""
    stored = bson.encode({"": value})
    return bson.encode(bson.decode(stored, _AS_READ)) if b"$ref" in stored else stored
