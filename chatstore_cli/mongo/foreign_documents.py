"""Counts the documents of a collection that are not chatstore's own, within bounds of number and time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chatstore_cli.domain.errors import ForeignCollection, MissingRight
from chatstore_cli.domain.foreign import ForeignDocuments, usual_fields
from chatstore_cli.mongo.collection_facts import CollectionFacts
from chatstore_cli.mongo.collections import require_storable
from chatstore_cli.mongo.connection import Connection, Document, driver_errors, within_limit
from chatstore_cli.mongo.exact import own_collation
from chatstore_cli.mongo.own_documents import OwnDocuments

_SAMPLE = 100
_FEW_DOCUMENTS = 2_000
"""Up to this many, every document is read: `$sample` would read all of them too."""

_MILLISECONDS = 1_000
_MOST_PER_PAGE = 200
"""Up to this many, a listing reads every document too."""

_AT_EACH_END = 25
"""Documents that a listing reads at both ends of the index on `_id`: the oldest, the newest, those of another type of id.

A random sample takes the server longer than the page. Only if one of these documents is foreign is it taken.
"""

_FIRST_DOCUMENTS = 20
"""Read if the time limit has passed."""

_MOST_NAMES = 20
_NAMED_DOCUMENTS = 100


def foreign_in(
    connection: Connection, collection: str, own: OwnDocuments, *, at_a_glance: bool = False
) -> ForeignDocuments:
    """The foreign documents of a collection: of all documents if there are few, otherwise of a random sample.

    With `at_a_glance` less is read of a large collection that has none: about as much as a page of sessions costs.
    """
    if connection.in_memory:
        found = list(connection.collection(collection).find())
        names = [list(document)[:_MOST_NAMES] for document in found if not own.matches(document)]
        return ForeignDocuments(collection, own.kind, len(found), len(names), usual_fields(names))
    documents = connection.collection(collection)

    def counted() -> int:
        return documents.estimated_document_count(maxTimeMS=_MILLISECONDS)

    def looked(stage: Document, limits: Mapping[str, Any]) -> Document:
        return next(iter(documents.aggregate([stage, _counted(own)], **limits)))

    doing = f"examining the documents of {collection}"
    number = within_limit(doing, counted)
    are_few = number is not None and number <= _FEW_DOCUMENTS
    is_large = number is None or number > _MOST_PER_PAGE
    if at_a_glance and is_large and not _is_noticed(connection, collection, own):
        return ForeignDocuments(collection, own.kind, 0, 0, is_complete=False)
    stage: Document = {"$limit": _FEW_DOCUMENTS} if are_few else {"$sample": {"size": _SAMPLE}}
    answer = within_limit(doing, lambda: looked(stage, {"maxTimeMS": _MILLISECONDS}))
    if answer is None:
        are_few = False
        answer = within_limit(doing, lambda: looked({"$limit": _FIRST_DOCUMENTS}, {"maxTimeMS": _MILLISECONDS}))
    if answer is None:  # nothing is known
        return ForeignDocuments(collection, own.kind, 0, 0, is_complete=False)
    every, others = (row[0]["n"] if (row := answer[name]) else 0 for name in ("all", "foreign"))
    fields = usual_fields(row["names"] for row in answer["names"])
    return ForeignDocuments(collection, own.kind, every, others, fields, are_few and every < _FEW_DOCUMENTS)


def _is_noticed(connection: Connection, collection: str, own: OwnDocuments) -> bool:
    """Whether any document at the ends of the index on `_id` is foreign."""
    documents = connection.collection(collection)
    rest: list[Document] = [{"$match": {"$nor": [own.filter()]}}, {"$limit": 1}, {"$project": {"_id": 1}}]

    def found() -> bool:
        ends: list[list[Document]] = [[{"$sort": {"_id": order}}, {"$limit": _AT_EACH_END}] for order in (1, -1)]
        limits: dict[str, Any] = {"maxTimeMS": _MILLISECONDS, **own_collation(documents)}  # that of the index
        return any(list(documents.aggregate([*end, *rest], **limits)) for end in ends)

    return bool(within_limit(f"examining the documents of {collection}", found))


def _counted(own: OwnDocuments) -> Document:
    """A stage that counts documents and foreign documents, and returns the field names of some of these."""
    are_foreign = {"$match": {"$nor": [own.filter()]}}
    names = {"$map": {"input": {"$objectToArray": "$$ROOT"}, "in": "$$this.k"}}
    return {
        "$facet": {
            "all": [{"$count": "n"}],
            "foreign": [are_foreign, {"$count": "n"}],
            "names": [
                are_foreign,
                {"$limit": _NAMED_DOCUMENTS},
                {"$project": {"_id": 0, "names": {"$slice": [names, _MOST_NAMES]}}},
            ],
        }
    }


class ForeignLookup:
    """Examines a collection once for one reader, when it is first needed. `found` is None until then."""

    def __init__(self, connection: Connection, collection: str, own: OwnDocuments) -> None:
        self._connection = connection
        self._collection = collection
        self._own = own
        self.found: ForeignDocuments | None = None

    def take(self) -> ForeignDocuments:
        """The foreign documents; none if the user may not read the collection."""
        if self.found is None:
            try:
                self.found = foreign_in(self._connection, self._collection, self._own, at_a_glance=True)
            except MissingRight:
                self.found = ForeignDocuments(self._collection, self._own.kind, 0, 0)
        return self.found


def require_own(connection: Connection, collection: str, own: OwnDocuments) -> None:
    """Raise ForeignCollection if a collection holds mainly foreign documents. Examines it once per connection.

    Called before anything is written, indexed or deleted there.
    """
    if collection in connection.own_collections:
        return
    try:
        found = foreign_in(connection.reading_from_primary(), collection, own)
    except MissingRight:
        return  # the next operation reports it
    if found.is_mainly_foreign:
        raise ForeignCollection(
            what=f"{found.remark}. Nothing was written, changed or deleted there.",
            hint="Name the right database or another collection in the configuration (chatstore config show).",
        )
    connection.own_collections.add(collection)


def require_writable(
    connection: Connection, collection: str, own: OwnDocuments, *, fresh: bool = False
) -> CollectionFacts:
    """The facts of a collection that chatstore may write to. Raises UnsuitableCollection and ForeignCollection."""
    facts = require_storable(connection, collection, fresh=fresh)
    require_own(connection, collection, own)
    return facts


def collection_names(connection: Connection) -> list[str]:
    """The collections that the user may see, sorted. A user who may not list collections sees those that they may use."""
    with driver_errors("listing collections"):
        if connection.in_memory:
            names = connection.database.list_collection_names()
        else:
            names = connection.database.list_collection_names(authorizedCollections=True)
    return sorted(name for name in names if not name.startswith("system."))
