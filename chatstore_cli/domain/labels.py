"""Labels: a title and tags that a person gives to a session of any layout, and the port that stores them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

MOST_TAGS = 50
"""The most tags of one session."""
LONGEST_TAG = 64
"""The most characters of a tag."""
LONGEST_TITLE = 200
"""The most characters of a title."""


class SessionRef(NamedTuple):
    """A session, by its layout and its id: two layouts may have the same id."""

    layout: str
    session_id: str


@dataclass(frozen=True, slots=True)
class Labels:
    """The title and the tags of one session; `title` None: the session has only the title of its layout, if any."""

    title: str | None = None
    tags: tuple[str, ...] = ()


NO_LABELS = Labels()


class LabelReader(Protocol):
    """Reads the labels of sessions of all layouts."""

    remarks: list[str]
    """Why labels are not shown, for example without the right to read them."""

    def of(self, sessions: Iterable[SessionRef]) -> Mapping[SessionRef, Labels]:
        """The labels of those of the sessions that have any."""

    def tagged(self, tag: str, layouts: Sequence[str]) -> Iterator[SessionRef]:
        """The sessions of these layouts that have the tag, each once, in no particular order."""


class LabelStore(LabelReader, Protocol):
    """Stores the labels of sessions."""

    collection: str
    """The name of the collection."""

    def add_tags(self, session: SessionRef, tags: Sequence[str]) -> Labels:
        """Add tags and return the labels. Raises Conflict if the session would have more than MOST_TAGS."""

    def remove_tags(self, session: SessionRef, tags: Sequence[str]) -> Labels:
        """Remove those of the tags that the session has, and return the labels."""

    def set_title(self, session: SessionRef, title: str) -> Labels:
        """Give the session a title, and return the labels."""

    def every(self) -> Iterator[SessionRef]:
        """The sessions that have labels, in no particular order."""

    def count(self, session: SessionRef) -> int:
        """The number of documents with the labels of a session: 0 or 1."""

    def remove(self, session: SessionRef) -> int:
        """Delete the labels of a session, and return the number of deleted documents."""
