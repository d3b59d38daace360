"""A collection whose commands compare ids byte by byte, also if its default collation does not.

A collection can be created with a default collation, for example `{locale: "en", strength: 2}`. For its commands "Ann"
then equals "ann", and ":" sorts before digits. Ids are exact, so here every command has one of two collations:

- `simple`, which compares bytes. Ranges, sorts and groups need it, and so do indexes that are to serve them.
- The collection's own collation, for look-ups by a text that no index with `simple` serves. The index on `_id` always
  has the collection's own. Such a command finds every text that the collection takes for equal, and a byte-exact
  condition in the same command chooses from these.

Without a default collation, or with `simple` as the default, the commands are the driver's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pymongo.errors as driver
from pymongo.collection import Collection
from pymongo.database import Database

from chatstore_cli.domain.errors import Conflict
from chatstore_cli.mongo.collection_facts import CollectionFacts, CollectionKind, KnownCollections, collation_text
from chatstore_cli.mongo.exact_conditions import byte_exact, has_range, texts_of

Document = dict[str, Any]

SIMPLE: Document = {"locale": "simple"}

_LOOK_UP_FIELDS = ("_id", "session_id", "chat_id", "chat_thread_id", "sessionId")
MOST_TEXTS = 100
"""More texts in one look-up would take longer to compare than reading the collection."""

_SELECTING_STAGES = {"$match", "$limit", "$project", "$set"}
"""Stages of a look-up. All others may sort or group, so they need the collation `simple`."""


class ExactCollection(Collection[Any]):
    """A Collection whose commands compare texts byte by byte. Raises the driver's own errors.

    `known` has the facts of collections; they are read with the first command.
    """

    def __init__(self, database: Database[Any], name: str, known: KnownCollections, **options: Any) -> None:
        super().__init__(database, name, **options)
        self._known = known
        self._simple_fields: set[str] | None = None

    def with_options(self, *args: Any, **kwargs: Any) -> ExactCollection:
        """The same collection with other options of the driver."""
        other = super().with_options(*args, **kwargs)
        return ExactCollection(
            self.database,
            self.name,
            self._known,
            codec_options=other.codec_options,
            read_preference=other.read_preference,
            write_concern=other.write_concern,
            read_concern=other.read_concern,
        )

    @property
    def own_collation(self) -> Document:
        """The option of a command that keeps the collection's collation; empty if that compares bytes.

        For look-ups whose caller compares what comes back.
        """
        collation = self._facts.collation
        return {} if collation is None else {"collation": dict(collation)}

    @property
    def bytewise(self) -> Document:
        """The option of a command that compares bytes; empty if the collection does so by itself."""
        facts = self._facts
        if facts.collation is None or facts.kind is CollectionKind.VIEW:  # the collation of a view is fixed
            return {}
        return {"collation": SIMPLE}

    def exactly(self, condition: Document) -> tuple[Document, Document]:
        """The condition of a look-up, and the option to send with it, so that it selects byte by byte and an index serves.

        For commands that neither sort nor group.
        """
        bytewise = self.bytewise
        if bytewise and not self._needs_own_collation(condition):
            return condition, bytewise
        own = self.own_collation
        return (byte_exact(condition), own) if own else (condition, {})

    @property
    def _facts(self) -> CollectionFacts:
        return self._known.facts(self.database, self.name)

    def _needs_own_collation(self, condition: Mapping[str, Any]) -> bool:
        for field in _LOOK_UP_FIELDS:
            texts = texts_of(condition.get(field))
            if texts:
                return (
                    len(texts) <= MOST_TEXTS
                    and (field == "_id" or not self._has_simple_index(field))
                    and not has_range(condition)
                )
        return False

    def _has_simple_index(self, field: str) -> bool:
        if self._simple_fields is None:
            try:
                indexes = list(self.list_indexes())
            except driver.OperationFailure:  # a view, or a user who may not list indexes
                indexes = []
            self._simple_fields = {next(iter(index["key"])) for index in indexes if "collation" not in index}
        return field in self._simple_fields

    # --- the driver's commands, which leave an explicit collation alone ----------------------------------------------

    def find(self, filter: Any = None, *args: Any, **kwargs: Any) -> Any:  # noqa: A002 - the name in the driver
        """The documents. A look-up by the text of an `_id` may not be sorted."""
        if texts_of((filter or {}).get("_id")):
            selected, kwargs = self._look_up(filter, kwargs)
        else:
            selected, kwargs = filter, self._in_bytes(kwargs)
        return super().find(selected, *args, **kwargs)

    def find_one(self, filter: Any = None, *args: Any, **kwargs: Any) -> Any:  # noqa: A002 - the name in the driver
        """A document. May not be sorted."""
        selected, kwargs = self._look_up(filter or {}, kwargs)
        return super().find_one(selected, *args, **kwargs)

    def aggregate(self, pipeline: Any, *args: Any, **kwargs: Any) -> Any:
        """The result of a pipeline. A look-up is one that begins with `$match` and neither sorts nor groups."""
        if pipeline and "$match" in pipeline[0] and {name for stage in pipeline for name in stage} <= _SELECTING_STAGES:
            match, kwargs = self._look_up(pipeline[0]["$match"], kwargs)
            pipeline = [{"$match": match}, *pipeline[1:]]
        else:
            kwargs = self._in_bytes(kwargs)
        return super().aggregate(pipeline, *args, **kwargs)

    def distinct(self, key: str, *args: Any, **kwargs: Any) -> Any:
        """The values of a field."""
        return super().distinct(key, *args, **self._in_bytes(kwargs))

    def count_documents(self, filter: Any, *args: Any, **kwargs: Any) -> int:  # noqa: A002 - the name in the driver
        """The number of documents."""
        selected, kwargs = self._look_up(filter, kwargs)
        return super().count_documents(selected, *args, **kwargs)

    def update_one(self, filter: Any, update: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: A002 - the name in the driver
        """Change a document. The condition of an upsert becomes part of a new document, so it has no expressions."""
        if kwargs.get("upsert"):
            selected, kwargs = filter, self._in_bytes(kwargs)
        else:
            selected, kwargs = self._look_up(filter, kwargs)
        return super().update_one(selected, update, *args, **kwargs)

    def find_one_and_update(self, filter: Any, update: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: A002 - the name in the driver
        """Change a document and return it. May neither be sorted nor insert."""
        selected, kwargs = self._look_up(filter, kwargs)
        return super().find_one_and_update(selected, update, *args, **kwargs)

    def update_many(self, filter: Any, update: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: A002 - the name in the driver
        """Change documents."""
        selected, kwargs = self._look_up(filter, kwargs)
        return super().update_many(selected, update, *args, **kwargs)

    def delete_one(self, filter: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: A002 - the name in the driver
        """Delete a document."""
        selected, kwargs = self._look_up(filter, kwargs)
        return super().delete_one(selected, *args, **kwargs)

    def delete_many(self, filter: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: A002 - the name in the driver
        """Delete documents."""
        selected, kwargs = self._look_up(filter, kwargs)
        return super().delete_many(selected, *args, **kwargs)

    def _look_up(self, condition: Any, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if "collation" in options:
            return condition, options
        condition, collation = self.exactly(condition)
        return condition, {**options, **collation}

    def _in_bytes(self, options: dict[str, Any]) -> dict[str, Any]:
        return options if "collation" in options else {**options, **self.bytewise}


def exactly(collection: Collection[Any], condition: Document) -> tuple[Document, Document]:
    """`ExactCollection.exactly`; in memory, where texts are compared byte by byte, the condition as it is."""
    return collection.exactly(condition) if isinstance(collection, ExactCollection) else (condition, {})


def own_collation(collection: Collection[Any]) -> Document:
    """`ExactCollection.own_collation`; empty in memory."""
    return collection.own_collation if isinstance(collection, ExactCollection) else {}


def bytewise(collection: Collection[Any]) -> Document:
    """`ExactCollection.bytewise`; empty in memory."""
    return collection.bytewise if isinstance(collection, ExactCollection) else {}


def text_range(own: Document, first: str, end: str) -> Document:
    """The condition for texts that begin with `first`; `end` is the first text after them in the order of bytes.

    `own` is the collection's `own_collation`. In a collation's order it has others too, so the caller compares what comes back. There no text follows U+FFFF.
    """
    return {"$gte": first, "$lte": f"{first}\uffff"} if own else {"$gte": first, "$lt": end}


def reject_equal_id(collection: Collection[Any], field: str, text: str) -> None:
    """Raise Conflict if a unique index rejected an id because the collation takes another stored id for equal."""
    own = own_collation(collection)
    other = (collection.find_one({field: text}, {field: 1}, **own) or {}).get(field) if own else None
    if isinstance(other, str) and other != text:
        raise Conflict(
            what=f"{collection.name} cannot hold {field} {text!r}: its collation ({collation_text(own['collation'])}) "
            f"takes it for the stored {other!r}, and an index requires different values.",
            hint="Use another id, or create the collection again without a collation.",
        )
