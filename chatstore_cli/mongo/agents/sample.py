"""Random saved agents for `chatstore verify`: how many of their versions are active."""

from __future__ import annotations

from chatstore_cli.domain.agents.models import VersionSample
from chatstore_cli.mongo.agents.own_agents import PLATFORM_AGENTS
from chatstore_cli.mongo.connection import Connection, Document
from chatstore_cli.mongo.identifiers import id_text
from chatstore_cli.mongo.session_documents.document_samples import sampled

_VERSIONS: Document = {"$cond": [{"$isArray": "$versions"}, "$versions", []]}
_ACTIVE: Document = {"$filter": {"input": _VERSIONS, "cond": {"$eq": ["$$this.active", True]}}}


class MongoAgentSample:
    """At most `sample` agents, read within `seconds`."""

    def __init__(self, connection: Connection, collection: str, *, sample: int, seconds: float) -> None:
        self._connection = connection
        self.collection = collection
        self._sample = sample
        self._milliseconds = max(1, int(seconds * 1000))

    def versions(self) -> VersionSample | None:
        """The agents whose versions are not exactly one active one and others; None after the time limit."""
        shape: list[Document] = [{"$project": {"versions": {"$size": _VERSIONS}, "active": {"$size": _ACTIVE}}}]
        limits = {"sample": self._sample, "milliseconds": self._milliseconds}
        rows = sampled(self._connection, self.collection, PLATFORM_AGENTS, shape, **limits)
        if rows is None:
            return None
        faults = [(id_text(row["_id"]), row["active"]) for row in rows if row["versions"] and row["active"] != 1]
        return VersionSample(len(rows), tuple(faults))
