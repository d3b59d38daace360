"""What MongoDB has about a user outside sessions: each document is found by the user that it names."""

from __future__ import annotations

from collections.abc import Iterator

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.removal import StoredPart
from chatstore_cli.mongo.agent_states.documents import OWN_STATES
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.general.own_chats import OWN_COUNTERS
from chatstore_cli.mongo.identifiers import document_id_condition
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
        return count_parts(self._connection, parts)

    def remove(self) -> list[StoredPart]:
        parts = self._parts()
        require_all_removable(self._connection, parts)
        with driver_errors("deleting the data of a user"):
            sums = self._remove_daily_sums()
            return [
                *([StoredPart(self._settings.layouts.workflow.usage_rollups, sums)] if sums else []),
                *(
                    StoredPart(name, self._connection.collection(name).delete_many(selected).deleted_count)
                    for name, selected in parts
                ),
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
        if not self._keep_usage:
            parts.append((names.workflow.usage, self._usage))
        return parts

    @property
    def _usage(self) -> Document:
        tenant = [] if self._tenant is None else [{"tenant_id": self._tenant}]
        return {"$and": [self._of_user, *tenant, OWN_ROWS.filter()]}

    def _remove_daily_sums(self) -> int:
        """Delete the daily sums of the sessions whose rows are all the user's. The rows, which name them, follow."""
        if self._keep_usage:
            return 0
        names = self._settings.layouts.workflow
        sums, removed = self._connection.collection(names.usage_rollups), 0
        for ids in self._sessions_of_rows():
            either = {"$or": [{"_id": {"$in": ids}}, {"_id.chat_id": {"$in": ids}}]}
            removed += sums.delete_many(either).deleted_count
        return removed

    def _sessions_of_rows(self) -> Iterator[list[str]]:
        """The ids of sessions that have rows of this user and of nobody else, some at a time."""
        rows = self._connection.collection(self._settings.layouts.workflow.usage)
        ids = [row["_id"] for row in rows.aggregate([{"$match": self._usage}, {"$group": {"_id": "$chat_id"}}])]
        for start in range(0, len(ids), _AT_ONCE):
            some = ids[start : start + _AT_ONCE]
            of_others = {"chat_id": {"$in": some}, "$nor": [self._usage]}
            shared = {row["_id"] for row in rows.aggregate([{"$match": of_others}, {"$group": {"_id": "$chat_id"}}])}
            yield [each for each in some if each not in shared]
