"""Entries of the session registry in one collection, one document each. Every change is one guarded update."""

from __future__ import annotations

from pymongo.errors import DuplicateKeyError

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.session_registry import KEPT_SWITCHES, ClientSession, RegistryEntry, Switch
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.foreign_documents import require_writable
from chatstore_cli.mongo.session_registry.documents import (
    OWN_ENTRIES,
    entry_id,
    switch_document,
    to_entry,
    to_switches,
    workflow_documents,
)

_STATE: Document = {"switches": 0}


class MongoRegistryStore:
    """A RegistryStore. It reads from the primary, because a change depends on what was read."""

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self._connection = connection.reading_from_primary()
        self._name = settings.layouts.general.registry
        self._entries = self._connection.collection(self._name)

    def find(self, session: ClientSession) -> RegistryEntry | None:
        with driver_errors(f"looking up a client session in {self._name}"):
            found = self._entries.find_one({"_id": entry_id(session)}, _STATE)
        return None if found is None else to_entry(found)

    def change(self, before: RegistryEntry, after: RegistryEntry, switch: Switch) -> bool:
        require_writable(self._connection, self._name, OWN_ENTRIES)
        state: Document = {
            "workflows": workflow_documents(after),
            "general_mode": after.general_mode,
            "version": after.version,
            "updated_at": after.updated_at,
        }
        with driver_errors(f"changing a client session in {self._name}"):
            if before.stored is None:
                return self._insert(after, state, switch)
            record = {"switches": {"$each": [switch_document(switch)], "$slice": -KEPT_SWITCHES}}
            update: Document = {"$push": record}
            if switch.refused is None:
                update["$set"] = state
            condition = {"_id": entry_id(before.session), "version": before.version}
            return self._entries.update_one(condition, update).matched_count == 1

    def _insert(self, entry: RegistryEntry, state: Document, switch: Switch) -> bool:
        names = {"_id": entry_id(entry.session), **entry.session._asdict()}
        document = {**names, **state, "created_at": entry.updated_at, "switches": [switch_document(switch)]}
        try:
            self._entries.insert_one(document)
        except DuplicateKeyError:
            return False
        return True

    def switches(self, session: ClientSession, limit: int) -> list[Switch]:
        with driver_errors(f"reading the switches of a client session in {self._name}"):
            newest = {"switches": {"$slice": -limit}}
            found = self._entries.find_one({"_id": entry_id(session)}, {"_id": 1, **newest})
        return [] if found is None else list(to_switches(found.get("switches")))[::-1]

    def newest(self, app_id: str, user_id: str, limit: int) -> list[RegistryEntry]:
        with driver_errors(f"listing client sessions in {self._name}"):
            of_user = {"$and": [{"app_id": app_id, "user_id": user_id}, OWN_ENTRIES.filter()]}
            rows = self._entries.find(of_user, _STATE).sort("updated_at", -1).limit(limit)
            return [to_entry(row) for row in rows]

    def tenants_of(self, user_id: str) -> list[str]:
        """The tenants in which a user has entries, sorted. No index has the user alone, so all entries are read."""
        with driver_errors(f"listing client sessions in {self._name}"):
            of_user = {"$and": [{"user_id": user_id}, OWN_ENTRIES.filter()]}
            return sorted({str(row["app_id"]) for row in self._entries.find(of_user, {"app_id": 1})})
