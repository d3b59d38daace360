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
    """Their `_id`s as text, at most MOST_NAMED; if there are so many, more may exist. The first document is read."""

    def rejection(self) -> Conflict:
        """The error of a command that would change one of the documents."""
        return Conflict(
            what=f"{self.collection} has several documents with the {self.field} {self.session_id!r}, so it is not clear "
            f"which one is meant. Their _ids: {self._named}.",
            hint=f"Give each document a {self.field} of its own. Then run chatstore indexes apply: the unique index that it "
            "creates prevents such documents.",
        )

    def note(self) -> str:
        """The notice of a command that shows one of the documents."""
        number = f"{MOST_NAMED} or more" if len(self.documents) >= MOST_NAMED else str(len(self.documents))
        return (
            f"{self.collection} has {number} documents with the {self.field} {self.session_id!r}. Only the one with the _id "
            f"{self.documents[0]} is shown. All _ids: {self._named}."
        )

    @property
    def _named(self) -> str:
        return ", ".join(self.documents) + (", ..." if len(self.documents) >= MOST_NAMED else "")
