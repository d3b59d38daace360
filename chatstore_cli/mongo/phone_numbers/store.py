"""The bindings of phone numbers in the platform's collection, which chatstore reads and writes."""

from __future__ import annotations

import pymongo.errors as driver
from bson import ObjectId

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.retry import attempt_until_done
from chatstore_cli.domain.errors import Conflict
from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.domain.phone_numbers import PhoneBinding, ProviderNumber
from chatstore_cli.domain.times import Clock, to_milliseconds
from chatstore_cli.mongo.collections import acknowledged_collection
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.foreign_documents import require_writable
from chatstore_cli.mongo.identifiers import document_id_condition, id_values
from chatstore_cli.mongo.maintenance.index_store import MongoIndexStore
from chatstore_cli.mongo.phone_numbers.documents import (
    IS_LIVE,
    OWN_BINDINGS,
    binding_index_spec,
    new_binding,
    provider_fields,
    to_binding,
)
from chatstore_cli.mongo.server_clock import ServerClock

_MOST_OF_NUMBER = 100


class MongoBindingStore:
    """A BindingStore. A unique index, and not a look-up before the write, keeps a second live route of a number out."""

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        *,
        patient: Connection | None = None,
        server_now: Clock | None = None,
    ) -> None:
        """`patient` is a connection without a time limit, for building the index."""
        self._connection = connection.reading_from_primary()
        self.collection = settings.chatstore.agents.bindings
        self._bindings = acknowledged_collection(self._connection, self.collection)
        self._indexes = MongoIndexStore(self._connection, patient or connection)
        self._now = server_now or ServerClock(connection, warn=lambda _: None).now
        self._has_index = False

    def index_specs(self) -> list[IndexSpec]:
        """The index of the bindings. Raises ForeignCollection."""
        require_writable(self._connection, self.collection, OWN_BINDINGS)
        return [binding_index_spec(self.collection)]

    def page(self, tenant_id: str | None, before: str | None, limit: int) -> list[PhoneBinding]:
        older: Document = {} if before is None else {"_id": {"$lt": ObjectId(before)}}
        condition = {"deletedAt": None, **_of_tenant(tenant_id), **OWN_BINDINGS.filter(), **older}
        with driver_errors(f"listing the phone numbers of {self.collection}"):
            return [to_binding(each) for each in self._bindings.find(condition).sort([("_id", -1)]).limit(limit)]

    def find(self, binding_id: str, tenant_id: str | None) -> PhoneBinding | None:
        condition = {"_id": ObjectId(binding_id), "deletedAt": None, **_of_tenant(tenant_id), **OWN_BINDINGS.filter()}
        with driver_errors(f"looking up a phone number in {self.collection}"):
            found = self._bindings.find_one(condition)
        return None if found is None else to_binding(found)

    def of_number(self, number: str, tenant_id: str | None) -> list[PhoneBinding]:
        condition = {"e164": number, "deletedAt": None, **_of_tenant(tenant_id), **OWN_BINDINGS.filter()}
        with driver_errors(f"looking up {number} in {self.collection}"):
            rows = self._bindings.find(condition).sort([("_id", 1)]).limit(_MOST_OF_NUMBER)
            return sorted(map(to_binding, rows), key=lambda binding: not binding.enabled)  # stable

    def bind(
        self, number: str, agent_id: str | None, owner: str | None, at: ProviderNumber | None = None
    ) -> PhoneBinding:
        doing = f"routing {number} in {self.collection}"
        self._require_index()
        now = to_milliseconds(self._now())
        owned = {"orgId": None} if owner is None else _of_tenant(owner)

        def attempt() -> PhoneBinding | None:
            live = [binding for binding in self.of_number(number, None) if binding.enabled]
            if any(binding.tenant_id != owner for binding in live):
                raise Conflict(
                    what=f"{number} is routed by another tenant, and a number has one live route. Nothing was changed.",
                    hint="The other tenant has to unbind it first: chatstore agents numbers unbind.",
                )
            mine = live or [binding for binding in self.of_number(number, owner) if binding.tenant_id == owner]
            try:
                if not mine:
                    document = new_binding(number, agent_id, owner, at, now)
                    self._bindings.insert_one(document)
                    return to_binding(document)
                condition = {"_id": ObjectId(mine[0].binding_id), "e164": number, "deletedAt": None, **owned}
                changed = {**provider_fields(at), "agentId": agent_id, "enabled": True, "updatedAt": now}
                if not self._bindings.update_one(condition, {"$set": changed}).matched_count:
                    return None
                found = self._bindings.find_one({"_id": ObjectId(mine[0].binding_id)})
                return None if found is None else to_binding(found)
            except driver.DuplicateKeyError:
                return None

        def failure() -> Conflict:
            return Conflict(what=f"{doing}: other writers changed it each time.", hint="Run the command again.")

        with driver_errors(doing):
            return attempt_until_done(attempt, failure)

    def remove(self, binding: PhoneBinding) -> bool:
        require_writable(self._connection, self.collection, OWN_BINDINGS)
        condition = {
            "_id": ObjectId(binding.binding_id),
            "e164": binding.number,
            "deletedAt": None,
            **({"orgId": None} if binding.tenant_id is None else _of_tenant(binding.tenant_id)),
            **OWN_BINDINGS.filter(),
        }
        with driver_errors(f"deleting the route of {binding.number} in {self.collection}"):
            return self._bindings.delete_one(condition).deleted_count > 0

    def routes_to(self, agent_id: str, limit: int) -> list[PhoneBinding]:
        # The platform checks ids without regard to case, and stores them as they were given.
        values = [*id_values(agent_id.lower()), agent_id.upper()]
        condition = {"agentId": {"$in": values}, **IS_LIVE, **OWN_BINDINGS.filter()}
        with driver_errors(f"looking for routes to agent {agent_id} in {self.collection}"):
            return [to_binding(each) for each in self._bindings.find(condition).sort([("_id", 1)]).limit(limit)]

    def _require_index(self) -> None:
        """Create the unique index if it is missing. Raises Conflict if a number has two live routes already."""
        require_writable(self._connection, self.collection, OWN_BINDINGS)
        if self._has_index:
            return
        spec = binding_index_spec(self.collection)
        stored = self._indexes.stored(self.collection)
        if not any(each.unique and each.keys == spec.keys and each.partial_filter == IS_LIVE for each in stored):
            self._indexes.create(spec, spec.name)
        self._has_index = True


def _of_tenant(tenant_id: str | None) -> Document:
    return {} if tenant_id is None else {"orgId": document_id_condition(tenant_id)}
