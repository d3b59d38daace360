"""The labels of sessions as rows, and the columns that show them.

The keys are the output of -o json: they change only with a line in the changelog.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chatstore_cli.render.listing import Column

if TYPE_CHECKING:
    from chatstore_cli.domain.labels import Labels, SessionRef


def label_row(session: SessionRef, labels: Labels) -> dict[str, Any]:
    """A session with its labels. `title` is null if only its layout has a title."""
    return {
        "session_id": session.session_id,
        "layout": session.layout,
        "title": labels.title,
        "tags": list(labels.tags),
    }


LABEL_COLUMNS = (
    Column("session_id", "SESSION", whole=True),
    Column("layout", "LAYOUT", whole=True),
    Column("title", "TITLE"),
    Column("tags", "TAGS", show=", ".join),
)


def pruned_row(session: SessionRef, result: str) -> dict[str, Any]:
    """A session that no longer exists, and whose labels were deleted, or would be."""
    return {"session_id": session.session_id, "layout": session.layout, "result": result}


PRUNED_COLUMNS = (
    Column("session_id", "SESSION", whole=True),
    Column("layout", "LAYOUT", whole=True),
    Column("result", "RESULT", whole=True),
)
