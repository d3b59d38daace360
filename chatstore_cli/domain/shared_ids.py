"""An id that several documents of one collection have, because the collection has no unique index on it."""

from __future__ import annotations

from dataclasses import dataclass

from chatstore_cli.domain.errors import Conflict

MOST_NAMED = 10
"""Documents with the same id that a text names."""


@dataclass(frozen=True, slots=True)
class SharedId:
    """The id of a session that several documents have. Reading shows the first of them, and a change is rejected."""

    collection: str
    field: str
    session_id: str
    documents: tuple[str, ...]
    """The texts of their `_id`s, the one that is read first: at most MOST_NAMED, and then there may be more."""

    def rejection(self) -> Conflict:
        """The error of a command that would change one of the documents."""
        return Conflict(
            what=f"{self.collection} has several documents with the {self.field} {self.session_id!r}, so it is not clear "
            f"which one is meant. Their _id: {self._named}.",
            hint=f"Give each document a {self.field} of its own. The unique index that chatstore indexes apply creates "
            "prevents this.",
        )

    def note(self) -> str:
        """The notice of a command that shows one of the documents."""
        number = f"{MOST_NAMED} or more" if len(self.documents) >= MOST_NAMED else str(len(self.documents))
        return (
            f"{self.collection} has {number} documents with the {self.field} {self.session_id!r}. Only the one with the _id "
            f"{self.documents[0]} is shown. All _id: {self._named}."
        )

    @property
    def _named(self) -> str:
        return ", ".join(self.documents) + (", ..." if len(self.documents) >= MOST_NAMED else "")
