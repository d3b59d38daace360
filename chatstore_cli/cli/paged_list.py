"""Lists that a registry returns page by page: saved agents, their phone numbers, states. They have the same options."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, NamedTuple

import typer

from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.list_options import reject_limit_of_all
from chatstore_cli.render.listing import Column, Listing, Row

DEFAULT_LIMIT = 50
_LARGEST_PAGE = 200

PageLimitOption = Annotated[
    int | None,
    typer.Option("--limit", metavar="N", min=1, max=_LARGEST_PAGE, help=f"Show at most N (default {DEFAULT_LIMIT})."),
]


class RowPage(NamedTuple):
    """The rows of a page, and the cursor of the next one."""

    rows: Sequence[Row]
    next_cursor: str | None


def emit_pages(
    invocation: Invocation,
    columns: Sequence[Column],
    read: Callable[[str | None, int], RowPage],
    *,
    limit: int | None,
    all_: bool,
    cursor: str | None,
    empty: str,
) -> None:
    """Write one page, or with `all_` every page as one list. `read` returns the page after a cursor, of at most N rows.

    Raises WrongUse for --limit beside --all.
    """
    reject_limit_of_all(limit, all_=all_)
    page = read(cursor, _LARGEST_PAGE if all_ else limit or DEFAULT_LIMIT)
    if all_:
        invocation.emit(Listing(columns, _every_row(page, read), empty=empty, streamed=True))
    else:
        invocation.emit(Listing(columns, page.rows, page.next_cursor, empty=empty))


def _every_row(page: RowPage, read: Callable[[str | None, int], RowPage]) -> Iterator[Row]:
    """The rows of a page and of those after it."""
    while True:
        yield from page.rows
        if page.next_cursor is None:
            return
        page = read(page.next_cursor, _LARGEST_PAGE)
