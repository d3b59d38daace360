"""The trail: the cursors of the pages before the shown page of a list, as a value in its address.

The cursors of a list lead to older entries only, so a link to newer ones needs the cursor of that page. Each cursor in a
trail is followed by a dot. The first page has no cursor, so the trail of the second page is a dot.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

_LONGEST = 4_000
"""Proxies accept about 8,000 characters of an address. A longer trail loses its first cursors."""

Trail = Annotated[str, Query(pattern=r"^([\w-]*\.)*$", max_length=_LONGEST)]
Cursor = Annotated[str, Query(max_length=20_000)]


def trail_after(trail: str, cursor: str) -> str:
    """The trail of the page after the one with this trail and cursor."""
    grown = f"{trail}{cursor}."
    while len(grown) > _LONGEST:
        grown = grown.partition(".")[2]
    return grown


def previous_page(trail: str) -> tuple[str, str] | None:
    """Cursor and trail of the page before the one with this trail; None if the trail is empty."""
    if not trail:
        return None
    earlier, _, cursor = trail[:-1].rpartition(".")
    return cursor, f"{earlier}." if trail.count(".") > 1 else ""
