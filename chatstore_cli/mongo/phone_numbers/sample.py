"""Bindings of phone numbers for `chatstore verify`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.phone_numbers import PhoneBinding
from chatstore_cli.mongo.collections import collection_facts
from chatstore_cli.mongo.connection import Connection, Document, within_limit
from chatstore_cli.mongo.phone_numbers.documents import IS_LIVE, OWN_BINDINGS, to_binding

_DOUBLED_SHOWN = 20


class MongoBindingSample:
    """A BindingSample of at most `sample` documents, read within `seconds`."""

    def __init__(self, connection: Connection, settings: Settings, *, sample: int, seconds: float) -> None:
        self.collection = settings.chatstore.agents.bindings
        self._connection = connection
        self._bindings = connection.collection(self.collection)
        self._sample = sample
        self._milliseconds = max(1, int(seconds * 1000))
        self._live: Document = {**IS_LIVE, **OWN_BINDINGS.filter()}

    def live(self) -> Sequence[PhoneBinding] | None:
        if not collection_facts(self._connection, self.collection).exists:
            return []
        routed = {**self._live, "agentId": {"$nin": [None, ""]}}
        stages: list[Document] = [{"$match": routed}, {"$sample": {"size": self._sample}}]
        if self._connection.in_memory:
            stages = stages[:1]
        return within_limit(
            f"sampling {self.collection}", lambda: [to_binding(each) for each in self._aggregate(stages)]
        )

    def doubled(self) -> Sequence[tuple[str, int]] | None:
        if not collection_facts(self._connection, self.collection).exists:
            return []
        stages: list[Document] = [
            {"$match": self._live},
            {"$group": {"_id": "$e164", "routes": {"$sum": 1}}},
            {"$match": {"routes": {"$gt": 1}}},
            {"$sort": {"_id": 1}},
            {"$limit": _DOUBLED_SHOWN},
        ]
        return within_limit(
            f"counting the routes of phone numbers in {self.collection}",
            lambda: [(str(row["_id"]), int(row["routes"])) for row in self._aggregate(stages)],
        )

    def _aggregate(self, stages: list[Document]) -> Any:
        limits: dict[str, Any] = {} if self._connection.in_memory else {"maxTimeMS": self._milliseconds}
        return self._bindings.aggregate(stages, **limits)
