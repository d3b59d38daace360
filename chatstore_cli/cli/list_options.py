"""The options of lists of sessions and threads beyond the filters that an index has, and how such a list is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatstore_cli.cli.columns import chosen_columns
from chatstore_cli.cli.known_names import require_known_names
from chatstore_cli.cli.readable_sessions import readable_readers
from chatstore_cli.domain.errors import BadValue, WrongUse
from chatstore_cli.render.listing import Column, Listing

if TYPE_CHECKING:
    from chatstore_cli.cli.invocation import Invocation
    from chatstore_cli.core.sessions.listing import AllSessions
    from chatstore_cli.domain.labels import LabelReader
    from chatstore_cli.domain.queries import SessionQuery
    from chatstore_cli.domain.session import Session

DEFAULT_LIMIT = 20

LimitOption = Annotated[
    int | None,
    typer.Option("--limit", metavar="N", min=1, max=1000, help=f"Show at most N (default {DEFAULT_LIMIT})."),
]
CursorOption = Annotated[
    str | None, typer.Option("--cursor", metavar="CURSOR", help="Continue after the page that printed this cursor.")
]
AllOption = Annotated[bool, typer.Option("--all", help="Show all, however many there are, in little memory.")]
SortOption = Annotated[
    str | None,
    typer.Option(
        "--sort",
        metavar="FIELD",
        help="Sort by updated, created, messages, tokens, cost, title, workflow, tenant, user, session, layout or status. "
        "FIELD:asc or FIELD:desc gives the direction (default: the highest first, texts from A).",
    ),
]
TitleOption = Annotated[
    str | None,
    typer.Option("--title", metavar="TEXT", help="Include only those with this text in the title shown, in any case."),
]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help="Include only those whose stored usage names this model."),
]
MinMessagesOption = Annotated[
    int | None, typer.Option("--min-messages", metavar="N", min=1, help="Include only those with at least N messages.")
]
MinTokensOption = Annotated[
    int | None, typer.Option("--min-tokens", metavar="N", min=0, help="Include only those with at least N tokens.")
]
MinCostOption = Annotated[
    str | None,
    typer.Option("--min-cost", metavar="AMOUNT", help="Include only those with at least this cost, such as 0.50."),
]


def with_unindexed(
    query: SessionQuery,
    *,
    title: str | None,
    min_messages: int | None,
    model: str | None = None,
    min_tokens: int | None = None,
    min_cost: str | None = None,
) -> SessionQuery:
    """The query with the filters that no index has. Raises BadValue."""
    for name, text in (("--title", title), ("--model", model)):
        if text == "":
            raise BadValue(name=name, value=text, expected="a text: it is empty")
    cost = None if min_cost is None else _amount(min_cost)
    return replace(query, title=title, model=model, min_messages=min_messages, min_tokens=min_tokens, min_cost=cost)


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise BadValue(name="--min-cost", value=text, expected="an amount such as 0.50")
    return amount


def reject_limit_of_all(limit: int | None, *, all_: bool) -> None:
    """Raise WrongUse for --limit beside --all."""
    if all_ and limit is not None:
        raise WrongUse(what="--all cannot be combined with --limit.", hint="Remove one of them.")


@dataclass(frozen=True)
class SessionList:
    """How one command lists sessions: the rows and columns, the words in notices, and the options that were given."""

    noun: str
    row: Callable[[Session], dict[str, Any]]
    columns: Callable[[Sequence[Mapping[str, Any]]], Sequence[Column]]
    limit: int | None = None
    cursor: str | None = None
    all_: bool = False
    sort: str | None = None
    names: str | None = None
    sort_fields: Sequence[str] | None = None
    """The fields that the command sorts by; None is all."""

    def emit(self, invocation: Invocation, query: SessionQuery, labels: LabelReader | None, *, empty: str) -> None:
        """Write the list. Raises NotFound if it is empty because no session has the tenant or user of the query."""
        from chatstore_cli.core.sessions.listing import AllSessions, list_sessions

        reject_limit_of_all(self.limit, all_=self.all_)
        chosen_columns(self.columns([]), self.names)  # a wrong name is reported before anything is read
        order = None
        if self.sort is not None:
            from chatstore_cli.core.sessions.sorting import SORT_FIELDS, SessionOrder

            order = SessionOrder.parse(self.sort, self.sort_fields or SORT_FIELDS)
        readers = readable_readers(invocation, query.layout)

        def require_names() -> None:
            require_known_names(invocation, readers, query)

        if self.all_:
            found = AllSessions(readers, query, cursor=self.cursor, labels=labels, order=order)
            self._emit_all(invocation, found, require_names, empty)
            return
        page = list_sessions(
            readers, query, cursor=self.cursor, limit=self.limit or DEFAULT_LIMIT, labels=labels, order=order
        )
        if not page.sessions:
            require_names()
        rows = [self.row(session) for session in page.sessions]

        def of_total() -> str | None:
            from chatstore_cli.core.sessions.totals import shown_of_total

            return shown_of_total(page, readers, query, noun=self.noun)

        listing = Listing(
            chosen_columns(self.columns(rows), self.names),
            rows,
            page.next_cursor,
            empty=empty,
            beside=self._beside(page.foreign, page.unaddressable),
            is_truncated=page.is_truncated and page.next_cursor is None,
            of_total=of_total,
        )
        invocation.emit_page(listing, page.notes)

    def _emit_all(
        self, invocation: Invocation, found: AllSessions, require_names: Callable[[], None], empty: str
    ) -> None:
        from itertools import chain

        sessions = iter(found)
        first = next(sessions, None)
        if first is None:
            require_names()
        every = [] if first is None else chain([first], sessions)
        columns = self.columns([self.row(first)] if first is not None else [])
        listing = Listing(
            chosen_columns(columns, self.names),
            (self.row(session) for session in every),
            empty=empty,
            streamed=True,
            beside_after=lambda: self._beside(found.foreign, found.unaddressable),
        )
        invocation.emit(listing)
        if first is None:
            invocation.say_what_the_database_has()
        for note in found.notes():
            invocation.say(note)

    def _beside(self, foreign: Iterable[Any], unaddressable: int) -> dict[str, Any]:
        from chatstore_cli.render.rows.sessions import foreign_row

        return {
            "foreign_documents": [foreign_row(each) for each in foreign],
            f"unaddressable_{self.noun}": unaddressable,
        }
