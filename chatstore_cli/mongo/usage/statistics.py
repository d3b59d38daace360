"""The platform's statistics: the usage of each session, in one document per tenant and workflow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chatstore_cli.domain.usage import Usage
from chatstore_cli.mongo.connection import Connection, driver_errors
from chatstore_cli.mongo.session_documents.counter_places import COUNTS
from chatstore_cli.mongo.session_documents.counters import cost_of, count_of

_SESSIONS = "chat_sessions"


class MongoUsageStatistics:
    """Reads the collection of statistics and never writes it. If it does not exist, there are no statistics."""

    def __init__(self, connection: Connection, collection: str) -> None:
        self._documents = connection.collection(collection)

    def by_session(self) -> dict[str, Usage]:
        """The usage by session id. A session that changed its workflow is in several documents, which are added up.

        Documents of other shapes, such as older ones with one session each, have the same usage again and are not read.
        """
        found: dict[str, Usage] = {}
        with driver_errors(f"reading {self._documents.name}"):
            for document in self._documents.find({_SESSIONS: {"$type": "object"}}, {_SESSIONS: 1}):
                for chat_id, usage in _sessions(document[_SESSIONS]):
                    found[chat_id] = found.get(chat_id, Usage()).plus(usage)
        return found


def _sessions(members: Any, path: str = "") -> Iterator[tuple[str, Usage]]:
    """The usages in an object by session id. An id with dots is stored as an object inside an object for each part."""
    for name, member in members.items() if isinstance(members, Mapping) else ():
        chat_id = path + name
        if isinstance(member, Mapping):
            counts = [count_of(member.get(each)) for each in COUNTS]
            if any(count is not None for count in counts):
                prompt, completion, total = (count or 0 for count in counts)
                yield chat_id, Usage(prompt, completion, total, cost_of(member.get("cost_total_usd")))
            yield from _sessions(member, f"{chat_id}.")
