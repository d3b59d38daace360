"""The text index of a collection: which one can serve a search, and the messages that it finds.

An index only finds candidates. It serves if it finds every message that has a word (mongo/search/words.py); of messages
that it cannot have in whole, such as those with tool calls, a second, partial index has all. That one is small, and they
are read newest first.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

from pymongo.collection import Collection

from chatstore_cli.core.search.indexes import TextPlan, serving_index
from chatstore_cli.mongo.collection_facts import CollectionKind
from chatstore_cli.mongo.collections import collection_facts
from chatstore_cli.mongo.connection import Connection, Document
from chatstore_cli.mongo.search.words import terms_of
from chatstore_cli.mongo.stored_indexes import stored_indexes

MOST_CANDIDATES = 5_000
"""A word that more messages have is common: it is found sooner by reading the newest messages."""
FEW_CANDIDATES = 500
"""If a word has no more candidates than these, no rarer one is looked for."""


_LARGE = 100_000
"""From so many documents on, a remark names the missing index."""


NOT_A_TEXT_TYPES = (
    "double", "object", "array", "binData", "objectId", "bool", "date", "null", "regex", "javascript", "symbol",
    "javascriptWithScope", "int", "timestamp", "long", "decimal", "minKey", "maxKey",
)  # fmt: skip
"""The types of values that a text index does not have. An array may have values of these types."""


class Others(NamedTuple):
    """The index of the messages that a text index cannot have in whole, and the condition that they meet."""

    name: str
    condition: Document


class TextIndex:
    """The text index of one collection. Raises the driver's own errors."""

    def __init__(self, connection: Connection, collection: Collection[Any], plan: TextPlan) -> None:
        self._connection = connection
        self._collection = collection
        self._plan = plan
        self._remark: str | None = None

    @cached_property
    def others(self) -> Others | None:
        """The second index; None if no text index can serve. Raises the driver's own errors."""
        name = self._collection.name
        if collection_facts(self._connection, name).kind is CollectionKind.VIEW:
            return None
        serving = serving_index(stored_indexes(self._collection), self._plan)
        if isinstance(serving, str):
            self._remark = f"{serving} So the search read the messages instead."
            return None
        return None if serving is None else Others(serving[1].name, serving[2])

    def remarks(self) -> list[str]:
        """Why a search for words reads the messages, if that is worth a line."""
        if self.others is not None:
            return []
        if self._remark is None and self._collection.estimated_document_count() >= _LARGE:
            self._remark = (
                f"{self._collection.name} has no text index, so the search read the messages. "
                "To create one, run: chatstore indexes apply --search"
            )
        return [] if self._remark is None else [self._remark]

    def rare(self, words: Sequence[str], fields: Document) -> list[Document] | None:
        """The messages with the rarest of the words, with these fields; None if no word is known to be rare."""
        asked = [terms for word in words if (terms := terms_of(word)) is not None]
        if not asked or self.others is None:
            return None
        best: list[Document] | None = None
        for terms in asked:
            search = {"$text": {"$search": " ".join(terms)}}
            most = MOST_CANDIDATES if best is None else len(best)
            rows = list(self._collection.find(search, fields).limit(most + 1))
            if len(rows) <= most:
                best = rows
            if best is not None and len(best) <= FEW_CANDIDATES:
                break
        return best
