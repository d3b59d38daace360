"""What MongoDB has about a user outside sessions: each document is found by the user that it names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pymongo.collection import Collection

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.removal import StoredPart
from chatstore_cli.mongo.agent_states.documents import OWN_STATES
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.general.own_chats import OWN_COUNTERS
from chatstore_cli.mongo.identifiers import document_id_condition, id_values
from chatstore_cli.mongo.session_documents.documents import session_id_of
from chatstore_cli.mongo.session_documents.shape import TENANT_FIELDS
from chatstore_cli.mongo.session_registry.documents import OWN_ENTRIES
from chatstore_cli.mongo.tombstones import Part, count_parts, require_all_removable
from chatstore_cli.mongo.usage.rows import OWN_ROWS

_AT_ONCE = 1_000


class MongoUserData:
    """A UserData. Few of these collections have an index that begins with the user, so they may be read completely."""

    def __init__(
        self, connection: Connection, settings: Settings, user_id: str, tenant_id: str | None, *, keep_usage: bool
    ) -> None:
        """With a tenant, states are left out: they have none."""
        self._connection = connection.reading_from_primary()
        self._settings = settings
        self._tenant = None if tenant_id is None else document_id_condition(tenant_id)
        self._of_user: Document = {"user_id": document_id_condition(user_id)}
        self._keep_usage = keep_usage

    def parts(self) -> list[StoredPart]:
        parts = self._parts()
        require_all_removable(self._connection, parts)
        counted = count_parts(self._connection, parts)
        return [*counted, *self._usage(lambda rows, selected: rows.count_documents(selected))]

    def remove(self) -> list[StoredPart]:
        parts = self._parts()
        require_all_removable(self._connection, parts)
        usage = self._usage(lambda rows, selected: rows.delete_many(selected).deleted_count)
        with driver_errors("deleting the data of a user"):
            return [
                *(
                    StoredPart(name, self._connection.collection(name).delete_many(selected).deleted_count)
                    for name, selected in parts
                ),
                *usage,
            ]

    def _parts(self) -> list[Part]:
        names = self._settings.layouts
        tenant = self._tenant
        in_registry = [{"app_id": tenant}] if tenant is not None else []
        in_counters = [{"$or": [{field: tenant} for field in TENANT_FIELDS]}] if tenant is not None else []
        parts: list[Part] = [
            (names.general.registry, {"$and": [self._of_user, *in_registry, OWN_ENTRIES.filter()]}),
            (names.general.counters, {"$and": [self._of_user, *in_counters, OWN_COUNTERS.filter()]}),
        ]
        if tenant is None:
            states = self._settings.chatstore.agents.states
            parts.append((states, {"$and": [self._of_user, OWN_STATES.filter()]}))
        return parts

    def _usage(self, use: Callable[[Collection[Any], Document], int]) -> list[StoredPart]:
        """Count or delete the user's rows of the ledger that belong to no session of the user, and their daily sums.

        The sums of a session are deleted before its rows, which name it. Sums that include rows of other users remain.
        """
        if self._keep_usage:
            return []
        names = self._settings.layouts.workflow
        rows, sums = self._connection.collection(names.usage), self._connection.collection(names.usage_rollups)
        tenant = [] if self._tenant is None else [{"tenant_id": self._tenant}]
        of_user: Document = {"$and": [self._of_user, *tenant, OWN_ROWS.filter()]}
        numbers = [0, 0]
        with driver_errors(f"reading the usage of a user in {names.usage}"):
            ids = [row["_id"] for row in rows.aggregate([{"$match": of_user}, {"$group": {"_id": "$chat_id"}}])]
            for start in range(0, len(ids), _AT_ONCE):
                some = self._without_session(ids[start : start + _AT_ONCE])
                of_others = {"chat_id": {"$in": some}, "$nor": [of_user]}
                shared = {
                    row["_id"] for row in rows.aggregate([{"$match": of_others}, {"$group": {"_id": "$chat_id"}}])
                }
                alone = [each for each in some if each not in shared]
                numbers[0] += use(sums, {"$or": [{"_id": {"$in": alone}}, {"_id.chat_id": {"$in": alone}}]})
                numbers[1] += use(rows, {"$and": [{"chat_id": {"$in": some}}, of_user]})
        return [StoredPart(names.usage_rollups, numbers[0]), StoredPart(names.usage, numbers[1])]

    def _without_session(self, ids: Sequence[Any]) -> list[Any]:
        """Those of the ids of sessions that are not a session of the user: its usage is deleted with it."""
        values = [value for each in ids for value in id_values(str(each))]
        either = {"$and": [{"$or": [{"chat_id": {"$in": values}}, {"_id": {"$in": values}}]}, self._of_user]}
        names = (self._settings.sessions_collection, self._settings.layouts.general.sessions)
        found = {
            session_id_of(row)
            for name in filter(None, names)
            for row in self._connection.collection(name).find(either, {"chat_id": 1})
        }
        return [each for each in ids if str(each) not in found]
