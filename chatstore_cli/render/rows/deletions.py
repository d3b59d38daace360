"""Deletions of several sessions as rows, and the columns that show them.

The keys are the output of -o json: they change only with a line in the changelog.
"""

from __future__ import annotations

import shlex
from itertools import chain
from typing import TYPE_CHECKING, Any

from chatstore_cli.domain.quantities import quantity
from chatstore_cli.render.listing import Column, Row, count, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chatstore_cli.domain.deletions import Deletion, DeletionTotals, PlanHeader, PlannedSession
    from chatstore_cli.domain.labels import SessionRef


def deletion_row(deletion: Deletion) -> dict[str, Any]:
    """What became of one session. `reason` is why it was left, and null if it was not."""
    return {
        "session_id": deletion.session.session_id,
        "layout": deletion.session.layout,
        "result": deletion.result.value,
        "documents": [{"collection": part.collection, "deleted": part.documents} for part in deletion.parts],
        "reason": deletion.reason,
    }


def planned_row(session: SessionRef, documents: Mapping[str, int]) -> dict[str, Any]:
    """What a dry run reports of one session: the same keys, with `planned` as the result."""
    return {
        "session_id": session.session_id,
        "layout": session.layout,
        "result": "planned",
        "documents": [{"collection": name, "deleted": number} for name, number in documents.items() if number],
        "reason": None,
    }


def planned_totals_row(sessions: int, documents: Mapping[str, int]) -> dict[str, Any]:
    """The numbers of sessions and of documents that would be deleted."""
    return {"planned": sessions, "documents": _documents(documents)}


def totals_row(totals: DeletionTotals) -> dict[str, Any]:
    """The numbers of sessions by result, and of deleted documents by collection."""
    return {
        **{result.value: number for result, number in totals.sessions.items()},
        "documents": _documents(totals.documents),
    }


def plan_row(header: PlanHeader, file: str) -> dict[str, Any]:
    """A plan that was written to a file."""
    return {
        "file": file,
        "target": header.target,
        "created_at": header.created,
        "filters": dict(header.filters),
        "keep_usage": header.keep_usage,
        "sessions": header.sessions,
        "documents": _documents(header.documents),
    }


def planned_text(planned: PlannedSession) -> str:
    """One line of a plan that is shown before it is confirmed."""
    owner = f" ({planned.whose})" if planned.whose else ""
    messages = quantity(planned.state.message_count, "message")
    return f"{planned.session.layout} {planned.session.session_id!r}{owner}: {messages}"


def _documents(numbers: Mapping[str, int]) -> list[dict[str, Any]]:
    return [{"collection": collection, "documents": number} for collection, number in numbers.items()]


def _deleted(row: Row) -> str:
    return count(sum(part["deleted"] for part in row["documents"]))


def _collections(value: Any) -> str:
    return ", ".join(f"{count(each['documents'])} of {each['collection']}" for each in value)


def _as_options(filters: Mapping[str, str]) -> str:
    """The filters as words of a command line. A plan file has `True` as the value of an option without a value."""
    words = ([name] if name in _FLAGS and text == "True" else [name, text] for name, text in filters.items())
    return shlex.join(chain.from_iterable(words))


_FLAGS = {"--paused", "--everything"}

DELETION_COLUMNS = (
    Column("session_id", "SESSION", whole=True),
    Column("layout", "LAYOUT", whole=True, spare=1),
    Column("result", "RESULT", whole=True, show=lambda value: value.replace("_", " ")),
    Column("documents", "DOCUMENTS", align="right", show_row=_deleted),
    Column("reason", "REASON", show=plain),
)
PLAN_FIELDS = (
    Column("file", "Plan"),
    Column("target", "Target"),
    Column("created_at", "Created", is_time=True),
    Column("filters", "Filters", show=_as_options),
    Column("keep_usage", "Usage kept"),
    Column("sessions", "Sessions", show=count),
    Column("documents", "Documents", show=_collections),
)
