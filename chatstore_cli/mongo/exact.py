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

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pymongo.errors as driver
from pymongo.collection import Collection
from pymongo.database import Database

from chatstore_cli.mongo.collections import CollectionFacts, CollectionKind, read_facts
from chatstore_cli.mongo.connection import Document

SIMPLE: Document = {"locale": "simple"}

_LOOK_UP_FIELDS = ("_id", "session_id", "chat_id")
_MOST_TEXTS = 100
"""More texts in one look-up would take longer to compare than reading the collection."""

_ORDERING = ("$gt", "$gte", "$lt", "$lte")
_SELECTING_STAGES = {"$match", "$limit", "$project", "$set"}
"""Stages of a look-up. All others may sort or group, so they need the collation `simple`."""


class ExactCollection(Collection[Any]):
    """A Collection whose commands compare texts byte by byte. Raises the driver's own errors.

    `known` has the facts that were read about collections, by name; they are read with the first command.
    """

    def __init__(self, database: Database[Any], name: str, known: dict[str, Any], **options: Any) -> None:
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

    def exactly(self, condition: Mapping[str, Any]) -> tuple[Mapping[str, Any], Document]:
        """The condition of a look-up, and the option to send with it, so that it selects byte by byte and an index serves.

        For commands that neither sort nor group.
        """
        bytewise = self.bytewise
        if bytewise and not self._needs_own_collation(condition):
            return condition, bytewise
        own = self.own_collation
        return (_byte_exact(condition), own) if own else (condition, {})

    @property
    def _facts(self) -> CollectionFacts:
        facts: CollectionFacts | None = self._known.get(self.name)
        if facts is None:
            facts = read_facts(self.database, self.name)
            if facts.exists:
                self._known[self.name] = facts
        return facts

    def _needs_own_collation(self, condition: Mapping[str, Any]) -> bool:
        for field in _LOOK_UP_FIELDS:
            texts = _texts_of(condition.get(field))
            if texts:
                return (
                    len(texts) <= _MOST_TEXTS
                    and (field == "_id" or not self._has_simple_index(field))
                    and not _has_range(condition)
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

    def find(self, filter: Any = None, *args: Any, **kwargs: Any) -> Any:  # noqa: A002 - the driver's name
        """The documents. A look-up by the text of an `_id` may not be sorted."""
        if _texts_of((filter or {}).get("_id")):
            filter, kwargs = self._look_up(filter, kwargs)
        else:
            kwargs = self._in_bytes(kwargs)
        return super().find(filter, *args, **kwargs)

    def find_one(self, filter: Any = None, *args: Any, **kwargs: Any) -> Any:  # noqa: A002
        """A document. May not be sorted."""
        filter, kwargs = self._look_up(filter or {}, kwargs)
        return super().find_one(filter, *args, **kwargs)

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

    def count_documents(self, filter: Any, *args: Any, **kwargs: Any) -> int:  # noqa: A002
        """The number of documents."""
        filter, kwargs = self._look_up(filter, kwargs)
        return super().count_documents(filter, *args, **kwargs)

    def update_one(self, filter: Any, update: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: A002
        """Change a document. The condition of an upsert becomes part of a new document, so it has no expressions."""
        if kwargs.get("upsert"):
            kwargs = self._in_bytes(kwargs)
        else:
            filter, kwargs = self._look_up(filter, kwargs)
        return super().update_one(filter, update, *args, **kwargs)

    def update_many(self, filter: Any, update: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: A002
        """Change documents."""
        filter, kwargs = self._look_up(filter, kwargs)
        return super().update_many(filter, update, *args, **kwargs)

    def delete_one(self, filter: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: A002
        """Delete a document."""
        filter, kwargs = self._look_up(filter, kwargs)
        return super().delete_one(filter, *args, **kwargs)

    def delete_many(self, filter: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: A002
        """Delete documents."""
        filter, kwargs = self._look_up(filter, kwargs)
        return super().delete_many(filter, *args, **kwargs)

    def _look_up(self, condition: Any, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if "collation" in options:
            return condition, options
        condition, collation = self.exactly(condition)
        return condition, {**options, **collation}

    def _in_bytes(self, options: dict[str, Any]) -> dict[str, Any]:
        return options if "collation" in options else {**options, **self.bytewise}


# --- byte-exact conditions --------------------------------------------------------------------------------------------


def _byte_exact(condition: Mapping[str, Any]) -> Document:
    """The condition with a byte-exact comparison beside each comparison with a text."""
    parts: list[Document] = []
    for name, wanted in condition.items():
        if name in ("$and", "$or", "$nor"):
            parts.append({name: [_byte_exact(each) for each in wanted]})
        elif name.startswith("$"):
            parts.append({name: wanted})
        else:
            parts += _field_exactly(name, wanted)
    return parts[0] if len(parts) == 1 else {"$and": parts}


def _field_exactly(path: str, wanted: Any) -> Iterable[Document]:
    if isinstance(wanted, str):
        wanted = {"$eq": wanted}
    if not isinstance(wanted, dict) or not all(name.startswith("$") for name in wanted):
        yield {path: wanted}
        return
    for operator, operand in wanted.items():
        values = operand if operator in ("$in", "$nin") else [operand]
        if operator in ("$ne", "$nin") and any(isinstance(value, str) for value in values):
            # The collation would take more values for equal, so that too few documents remained.
            yield {"$expr": {"$not": [_any_equals(path, values)]}}
            continue
        yield {path: {operator: operand}}
        if operator in ("$eq", "$in") and any(isinstance(value, str) for value in values):
            yield {"$expr": _any_equals(path, values)}


def _any_equals(path: str, values: Sequence[Any]) -> Document:
    """An expression: whether the value at a path, or one in the array there, is one of these values byte by byte."""
    first, _, rest = path.partition(".")
    elements: Any = {"$cond": [{"$isArray": f"${first}"}, f"${first}", [f"${first}"]]}
    if rest:
        elements = {"$map": {"input": elements, "in": f"$$this.{rest}"}}
    is_one = {"$or": [_equals("$$value", value) for value in values]}
    return {"$anyElementTrue": [{"$map": {"input": elements, "as": "value", "in": is_one}}]}


def _equals(expression: str, value: Any) -> Document:
    if not isinstance(value, str):
        return {"$eq": [expression, {"$literal": value}]}
    is_text = {"$eq": [{"$type": expression}, "string"]}
    has_its_bytes = {
        "$and": [
            {"$eq": [{"$strLenBytes": expression}, len(value.encode())]},
            {"$eq": [{"$indexOfBytes": [expression, {"$literal": value}]}, 0]},
        ]
    }
    return {"$cond": [is_text, has_its_bytes, False]}


def _texts_of(wanted: Any) -> list[str]:
    """The texts among the values that a condition on a field looks for."""
    if isinstance(wanted, str):
        return [wanted]
    if not isinstance(wanted, dict):
        return []
    values = [wanted["$eq"]] if "$eq" in wanted else wanted.get("$in", [])
    return [value for value in values if isinstance(value, str)]


def _has_range(condition: Any) -> bool:
    """Whether a condition compares by order with a text."""
    if isinstance(condition, dict):
        return any(
            (name in _ORDERING and isinstance(wanted, str)) or _has_range(wanted) for name, wanted in condition.items()
        )
    return isinstance(condition, list) and any(map(_has_range, condition))
