"""The pages of a list before the one that is shown, in its address.

The lists have an order in one direction only, so a link to newer entries needs the cursor of that page. A trail has those of
the earlier pages, each with a dot after it; the first page has no cursor, so the trail of the second page is a dot.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

_LONGEST = 4_000
"""Proxies accept about 8,000 characters of an address. Beyond that the oldest pages leave the trail."""

Trail = Annotated[str, Query(pattern=r"^([\w-]*\.)*$", max_length=_LONGEST)]
Cursor = Annotated[str, Query(max_length=20_000)]


def trail_after(trail: str, cursor: str) -> str:
    """The trail of the page after the one with this trail and cursor."""
    grown = f"{trail}{cursor}."
    while len(grown) > _LONGEST:
        grown = grown.partition(".")[2]
    return grown


def page_before(trail: str) -> tuple[str, str] | None:
    """Cursor and trail of the page before the one with this trail; None if the trail does not have it."""
    if not trail:
        return None
    earlier, _, cursor = trail[:-1].rpartition(".")
    return cursor, f"{earlier}." if trail.count(".") > 1 else ""
