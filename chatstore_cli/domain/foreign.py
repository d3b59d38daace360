"""Foreign documents: those in a configured collection that do not belong to chatstore, with their number and fields."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

_NAMES_SHOWN = 8
_NAME_LENGTH = 40


class OwnKind(NamedTuple):
    """The words for the documents of a collection, for example `a session` of `layout workflow`."""

    singular: str
    plural: str
    owner: str


@dataclass(frozen=True, slots=True)
class ForeignDocuments:
    """The number of foreign documents in a collection. `fields` are the names that most of them have, never values.

    `is_complete`: every document was looked at. Otherwise `looked_at` documents were, at random.
    """

    collection: str
    kind: OwnKind
    looked_at: int
    foreign: int
    fields: tuple[str, ...] = ()
    is_complete: bool = True

    @property
    def is_mainly_foreign(self) -> bool:
        """Whether more than half of the documents are foreign. An empty collection is not."""
        return self.foreign * 2 > self.looked_at

    @property
    def is_another_products(self) -> bool:
        """Whether the collection is large and none of the sampled documents is chatstore's own: then it is not searched."""
        return not self.is_complete and self.foreign == self.looked_at > 0

    @property
    def remark(self) -> str:
        """What was found, in words without a full stop; empty if no document is foreign."""
        if not self.foreign:
            return ""
        is_one = self.foreign == 1
        number = f"{self.foreign:,}" if self.is_complete else f"{self.foreign:,} of {self.looked_at:,} sampled"
        nouns = f"document that is not {self.kind.singular}" if is_one else f"documents that are not {self.kind.plural}"
        return f"{self.collection} holds {number} {nouns} of {self.kind.owner}: {shown_names(self.fields)}"


def usual_fields(documents: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """The field names that at least half of the documents have, in their usual order."""
    each = [tuple(names) for names in documents]
    counts = Counter(name for names in each for name in dict.fromkeys(names))
    return tuple(name for name, count in counts.items() if count * 2 >= len(each))


def shown_names(names: Iterable[str]) -> str:
    """Names of fields or collections as text: a few of them, each shortened, without line breaks and control characters."""
    every = list(names)
    more = f", and {len(every) - _NAMES_SHOWN:,} more" if len(every) > _NAMES_SHOWN else ""
    return ", ".join(shown_each(every)) + more


def shown_each(names: Sequence[str]) -> list[str]:
    """The first names, each shortened and without line breaks and control characters."""
    return [_shown(name) for name in names[:_NAMES_SHOWN]]


def _shown(name: str) -> str:
    name = name if len(name) <= _NAME_LENGTH else f"{name[:_NAME_LENGTH]}…"
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in name)


_NAMES_OF_PLATFORMS = {"ChatSessions": "mongo.session_collection"}
"""Names that platforms give to collections of sessions, with the settings to read them."""


class CollectionContents(Protocol):
    """What the collections of a database hold. Raises the errors of domain/errors.py."""

    def names(self) -> list[str]:
        """The collections that the user may see, sorted, without those of the server."""

    def own_names(self) -> list[str]:
        """The names that the settings give to collections, whether these exist or not."""

    def foreign_in(self, collection: str) -> ForeignDocuments | None:
        """The foreign documents of a collection; None if it is not one of `own_names`."""

    def require_writable(self, collections: Iterable[str]) -> None:
        """Raise UnsuitableCollection if one is not an ordinary collection, ForeignCollection if it is mainly foreign."""


def mainly_foreign(contents: CollectionContents, collections: Iterable[str]) -> list[ForeignDocuments]:
    """Those of the collections that hold mainly foreign documents."""
    found = [contents.foreign_in(collection) for collection in dict.fromkeys(collections)]
    return [each for each in found if each is not None and each.is_mainly_foreign]


def is_another_products(contents: CollectionContents) -> bool:
    """Whether the database has collections, and none of them is chatstore's own."""
    names = set(contents.names())
    own = [name for name in contents.own_names() if name in names]
    return bool(names) and len(mainly_foreign(contents, own)) == len(own)


def missing_collections_notice(contents: CollectionContents, target: str) -> str | None:
    """A sentence that names the collections of a database that has others than those of chatstore; otherwise None."""
    names = contents.names()
    own = contents.own_names()
    if not names or not set(own).isdisjoint(names):
        return None
    return f"{target} has none of the collections {', '.join(own)}. It has: {shown_names(names)}."


def unread_collections(contents: CollectionContents) -> dict[str, str]:
    """Collections of sessions that exist under a platform's name, and that no setting names: the setting for each."""
    own = contents.own_names()
    return {name: key for name, key in _NAMES_OF_PLATFORMS.items() if name in contents.names() and name not in own}
