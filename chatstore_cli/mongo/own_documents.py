"""Which documents of a collection are chatstore's own: one condition, as a filter of MongoDB and as a test in Python.

A collection is not chatstore's because of its name. Each layout has a condition that its documents meet in every variant
(docs/layouts.md), built from the parts below, so that filter and test cannot differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from bson import Code, DBRef

from chatstore_cli.domain.foreign import OwnKind

Document = dict[str, Any]


class Condition(Protocol):
    """A condition on one document."""

    def filter(self, prefix: str = "") -> Document:
        """The condition as a filter. `prefix` is put in front of every field, for example `fullDocument.`"""

    def matches(self, document: Mapping[str, Any]) -> bool:
        """Whether a decoded document meets the condition."""


@dataclass(frozen=True, slots=True)
class Has:
    """The document has the field, with any value."""

    field: str

    def filter(self, prefix: str = "") -> Document:
        return {prefix + self.field: {"$exists": True}}

    def matches(self, document: Mapping[str, Any]) -> bool:
        return self.field in document


@dataclass(frozen=True, slots=True)
class HasContentIn:
    """The field is an array with at least one document or text. An array of ids alone is another product's."""

    field: str

    def filter(self, prefix: str = "") -> Document:
        return {prefix + self.field: {"$elemMatch": {"$type": ["object", "string"]}}}

    def matches(self, document: Mapping[str, Any]) -> bool:
        elements = document.get(self.field)
        # Code is a str in Python and a type of its own in BSON; a DBRef is a document there.
        return isinstance(elements, list) and any(
            type(each) is str or isinstance(each, Mapping | DBRef) for each in elements
        )


@dataclass(frozen=True, slots=True)
class HasType:
    """The field has a value of one BSON type. `decoded` are the types that the driver decodes it to."""

    field: str
    bson_type: str
    decoded: tuple[type, ...]

    def filter(self, prefix: str = "") -> Document:
        # The condition `$type` alone is met by a list with such an element too.
        return {prefix + self.field: {"$type": self.bson_type, "$not": {"$type": "array"}}}

    def matches(self, document: Mapping[str, Any]) -> bool:
        value = document.get(self.field)
        return isinstance(value, self.decoded) and not isinstance(value, Code)  # Code is a str in Python


@dataclass(frozen=True, slots=True)
class _Parts:
    parts: tuple[Condition, ...]


class AllOf(_Parts):
    """Every part is met."""

    def filter(self, prefix: str = "") -> Document:
        return {"$and": [part.filter(prefix) for part in self.parts]}

    def matches(self, document: Mapping[str, Any]) -> bool:
        return all(part.matches(document) for part in self.parts)


class AnyOf(_Parts):
    """At least one part is met."""

    def filter(self, prefix: str = "") -> Document:
        return {"$or": [part.filter(prefix) for part in self.parts]}

    def matches(self, document: Mapping[str, Any]) -> bool:
        return any(part.matches(document) for part in self.parts)


def all_of(*parts: Condition) -> AllOf:
    """A condition that is met if every part is."""
    return AllOf(parts)


def any_of(*parts: Condition) -> AnyOf:
    """A condition that is met if any part is."""
    return AnyOf(parts)


def has_any(*fields: str) -> AnyOf:
    """A condition that is met if the document has any of the fields."""
    return AnyOf(tuple(Has(field) for field in fields))


def has_all(*fields: str) -> AllOf:
    """A condition that is met if the document has all of the fields."""
    return AllOf(tuple(Has(field) for field in fields))


@dataclass(frozen=True, slots=True)
class OwnDocuments:
    """The own documents of a collection: what they are, and the condition that they meet."""

    kind: OwnKind
    condition: Condition

    def filter(self, prefix: str = "") -> Document:
        """The condition as a filter."""
        return self.condition.filter(prefix)

    def matches(self, document: Mapping[str, Any]) -> bool:
        """Whether a decoded document is chatstore's own."""
        return self.condition.matches(document)
