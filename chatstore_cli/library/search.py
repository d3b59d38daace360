"""Searching the messages of all layouts from an application, as `chatstore search` does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from chatstore_cli.core.search.run import MessageSearch
from chatstore_cli.domain.errors import BadValue
from chatstore_cli.domain.quantities import alternatives
from chatstore_cli.domain.search.models import SearchHit, SearchMode, SearchQuery
from chatstore_cli.domain.times import as_utc
from chatstore_cli.library.connected import Connected, given_settings
from chatstore_cli.wiring.readable import readable_sessions
from chatstore_cli.wiring.search import message_searchers, pattern_limit

__all__ = ["SearchHit", "SearchPage", "SessionSearch"]


@dataclass(frozen=True, slots=True)
class SearchPage:
    """The messages with hits, the newest first. `next_cursor` is None at the end. `notes` are what was not searched."""

    hits: list[SearchHit]
    next_cursor: str | None
    notes: list[str]


class SessionSearch(Connected):
    """Finds messages by their text in the sessions of all layouts. It connects on first use.

    Without a `uri`, whatever is None comes from chatstore's configuration.
    """

    def __init__(
        self, uri: str | None = None, database: str | None = None, *, timeout_seconds: float | None = None
    ) -> None:
        """Raises BadConfig and BadValue."""
        self._connect(given_settings(uri, database, timeout_seconds))

    def _begin(self) -> None:
        """The stores are opened by the first search."""

    def search(
        self,
        text: str,
        *,
        mode: str = "words",
        match_case: bool = False,
        layout: str | None = None,
        tenant_id: str | None = None,
        user_id: str | None = None,
        session_id: str | None = None,
        role: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 20,
        cursor: str | None = None,
    ) -> SearchPage:
        """One page of the messages that have the text. `mode` is words, substring or regex.

        `until` is exclusive, and a time without a zone is in UTC.

        Text from users should be searched for as words or as a substring: outside the main thread, nothing stops a regular
        expression that takes forever. Raises BadValue and WrongUse for a text or a value that is not valid, NotFound for an
        unknown layout, and Unreachable.
        """
        modes = [each.value for each in SearchMode]
        if mode not in modes:
            raise BadValue(name="mode", value=mode, expected=alternatives(modes))
        first, last = (None if each is None else as_utc(each) for each in (since, until))
        filters = (layout, tenant_id, user_id, session_id, role, first, last)
        query = SearchQuery(text, SearchMode(mode), match_case, *filters)
        readable = readable_sessions(self._stores, layout)
        searchers = message_searchers(readable.readers)
        search = MessageSearch(searchers, query, limit=limit, cursor=cursor, limited=pattern_limit)
        hits = list(search.hits())
        if search.failure is not None:
            raise search.failure
        return SearchPage(hits, search.next_cursor, [*readable.notes, *search.notes])
