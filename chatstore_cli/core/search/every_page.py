"""All hits of a search, page after page, with the memory of one page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from chatstore_cli.core.search.run import MessageSearch
from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.search.models import SearchHit


class EveryPage:
    """The hits of a page and of all pages after it. Its attributes are those of the page that is read.

    A hit of an old message is kept until no newer one can follow. A page keeps only as many as it may need, so pages bound
    the memory of a search without a limit.
    """

    def __init__(self, page_after: Callable[[str | None], MessageSearch], cursor: str | None) -> None:
        """Raises what `page_after` raises. Nothing is read before `hits`."""
        self._page_after = page_after
        self._page = page_after(cursor)
        self._notes: list[str] = []

    def hits(self) -> Iterator[SearchHit]:
        """The hits. Each is returned as soon as no newer one can follow."""
        while True:
            yield from self._page.hits()
            self._notes += self._page.notes
            if self._page.next_cursor is None or self._page.failure is not None:
                return
            is_stopped = self._page.is_stopped
            self._page = self._page_after(self._page.next_cursor)
            self._page.is_stopped = is_stopped

    @property
    def notes(self) -> list[str]:
        """What was not searched, and why, each once; complete after the last hit."""
        return list(dict.fromkeys(self._notes))

    @property
    def is_reading(self) -> bool:
        """Whether a searcher is asked at this moment."""
        return self._page.is_reading

    @property
    def is_stopped(self) -> bool:
        """Set it to end the search at its next step."""
        return self._page.is_stopped

    @is_stopped.setter
    def is_stopped(self, value: bool) -> None:
        self._page.is_stopped = value

    @property
    def next_cursor(self) -> str | None:
        """Where the search continues, if it did not end."""
        return self._page.next_cursor

    @property
    def failure(self) -> ChatstoreError | KeyboardInterrupt | None:
        """What ended the search before its end."""
        return self._page.failure

    @property
    def searched_back_to(self) -> datetime | None:
        """If the search ended early: every message after this instant was searched; None if none was."""
        return self._page.searched_back_to
