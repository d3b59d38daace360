"""Which filters on sessions threads can answer, in every database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatstore_cli.domain.session import SessionStatus

if TYPE_CHECKING:
    from chatstore_cli.domain.queries import SessionQuery


def unanswerable_filters(query: SessionQuery) -> list[str]:
    """The names of the query's filters for which threads have no field."""
    filters = {
        "workflow": query.workflow is not None,
        "status": query.status not in (None, SessionStatus.UNKNOWN),
        "pause": query.paused,
    }
    return [name for name, is_used in filters.items() if is_used]
