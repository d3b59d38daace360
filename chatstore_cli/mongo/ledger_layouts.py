"""The layout of the sessions that the usage ledger's rows and daily sums belong to, and the parts of one session.

A row names its layout in `layout`. A row without this field belongs to a workflow session. Two layouts can have the same id,
so every condition on an id includes the layout.
"""

from __future__ import annotations

from typing import Any

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.usage_ledger import LEDGER_LAYOUTS

Document = dict[str, Any]

FIRST, OTHER = LEDGER_LAYOUTS
_OF_OTHER: Document = {"layout": {"$eq": OTHER, "$not": {"$type": "array"}}}


def within_layout(layout: str) -> Document:
    """A filter for the rows of a layout's sessions. A row with an unknown value in `layout` belongs to the first one."""
    return _OF_OTHER if layout == OTHER else {"$nor": [_OF_OTHER]}


def layout_at(field: str) -> Document:
    """The expression of a row's layout, from its field."""
    return {"$cond": [{"$eq": [field, OTHER]}, OTHER, FIRST]}


DAILY_ID: Document = {"$cond": [{"$eq": ["$_id.layout", FIRST]}, "$_id.chat_id", "$_id"]}
"""The expression of the `_id` of daily sums, if `_id` is `{chat_id, layout}`. Older versions stored the session id alone."""

DAILY_SESSION: Document = {
    "chat_id": {"$ifNull": ["$_id.chat_id", "$_id"]},
    "layout": {"$ifNull": ["$_id.layout", FIRST]},
}
"""The expressions of the session that daily sums belong to."""


def daily_sums_within(layout: str) -> Document:
    """A filter for the daily sums of a layout's sessions."""
    return {"_id.layout": None if layout == FIRST else layout}


def usage_parts(settings: Settings, layout: str, session_id: str) -> list[tuple[str, Document]]:
    """The collections of a session's usage, and the filters of its rows and its daily sums."""
    names = settings.layouts.workflow
    daily_id = session_id if layout == FIRST else {"chat_id": session_id, "layout": layout}
    return [
        (names.usage, {"chat_id": session_id, **within_layout(layout)}),
        (names.usage_rollups, {"_id": daily_id}),
    ]
