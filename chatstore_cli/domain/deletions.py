"""Deletions of many sessions: what is planned, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from chatstore_cli.domain.labels import SessionRef
from chatstore_cli.domain.removal import SessionState, StoredPart


@dataclass(frozen=True, slots=True)
class PlannedSession:
    """One session of a plan: what it was when the plan was made, and its documents by collection."""

    session: SessionRef
    state: SessionState
    tags: tuple[str, ...]
    documents: Mapping[str, int]
    whose: str = ""
    """Its title, user and tenant, to confirm a deletion. A plan file does not have them."""


class Result(StrEnum):
    """What became of a planned session."""

    DELETED = "deleted"
    ALREADY_DELETED = "already_deleted"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Deletion:
    """What became of one session, its deleted documents, and why it was left if it has changed."""

    session: SessionRef
    result: Result
    parts: list[StoredPart] = field(default_factory=list)
    reason: str | None = None


@dataclass(slots=True)
class DeletionTotals:
    """The numbers of sessions by result, and of deleted documents by collection."""

    sessions: dict[Result, int] = field(default_factory=lambda: dict.fromkeys(Result, 0))
    documents: dict[str, int] = field(default_factory=dict)

    def add(self, deletion: Deletion) -> None:
        """Count one session."""
        self.sessions[deletion.result] += 1
        add_documents(self.documents, {part.collection: part.documents for part in deletion.parts})


def add_documents(totals: dict[str, int], documents: Mapping[str, int]) -> None:
    """Add numbers of documents by collection; a collection without any is left out."""
    for collection, number in documents.items():
        if number:
            totals[collection] = totals.get(collection, 0) + number


@dataclass(frozen=True, slots=True)
class PlanHeader:
    """What a plan is for: the target, when it was made, the filters, and the numbers of sessions and documents.

    `collections` has the UUIDs of the collections that the documents are in, if they are known: another database with the
    same name on a server with the same address has others.
    """

    target: str
    created: str
    filters: Mapping[str, str]
    keep_usage: bool
    sessions: int = 0
    documents: Mapping[str, int] = field(default_factory=dict)
    collections: Mapping[str, str] = field(default_factory=dict)
