"""The current agents of states, for `chatstore verify`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from chatstore_cli.mongo.agent_states.documents import OWN_STATES
from chatstore_cli.mongo.collections import collection_facts
from chatstore_cli.mongo.connection import Connection, Document, within_limit
from chatstore_cli.mongo.identifiers import id_text


def sampled_agents(connection: Connection, collection: str, *, sample: int, seconds: float) -> Mapping[str, int] | None:
    """The current agents of random states, or of all if there are few, with the number of states that have each.

    None if the time limit passed.
    """
    if not collection_facts(connection, collection).exists:
        return {}
    with_agent = {"current_agent_id": {"$nin": [None, ""]}, **OWN_STATES.filter()}
    stages: list[Document] = [{"$match": with_agent}, {"$project": {"current_agent_id": 1}}]
    limits: dict[str, Any] = {} if connection.in_memory else {"maxTimeMS": max(1, int(seconds * 1000))}
    if not connection.in_memory:
        stages.insert(1, {"$sample": {"size": sample}})

    def read() -> Mapping[str, int]:
        rows = connection.collection(collection).aggregate(stages, **limits)
        return Counter(id_text(row["current_agent_id"]) for row in rows)

    return within_limit(f"sampling {collection}", read)
