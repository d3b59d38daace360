"""The port of a search in one layout. core/search/ merges the layouts, and decides which messages have hits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chatstore_cli.domain.search.models import SearchQuery, SearchStep, TextFilter, WordsStep
    from chatstore_cli.domain.session_reader import SessionReader
    from chatstore_cli.domain.times import Clock


class MessageSearcher(Protocol):
    """Finds the candidates of a search in one layout: with an index, with a filter in the server, or by reading all."""

    reader: SessionReader
    """The reader of the layout. It knows which filters the layout answers; its remarks are printed after the search."""

    def steps(self, query: SearchQuery, text: TextFilter) -> Iterator[SearchStep]:
        """The candidates, the newest first, in steps. The caller stops when it has enough, and closes the iterator.

        Every message that has a hit is a candidate; others may be too. The filters on sessions (tenant, user, session) are
        applied exactly here, and only the layout's own documents are searched. Role, time and text decide later: what is
        known to fail them can be left out. The work until a step should be small (some hundred messages, or a second),
        also if nothing is found. Sessions without a time come last, with `reached` None.

        What was not searched, and why, is in the remarks of the searcher or of its reader
        (domain/session_reader.py: ReaderWithRemarks).
        """


class WordsIndexer(Protocol):
    """Keeps an index of the words of one layout's sessions."""

    layout: str

    def update(self, *, everything: bool) -> Iterator[WordsStep]:
        """Read the sessions that changed since the last update, or all sessions."""


@runtime_checkable
class ReaderWithWords(Protocol):
    """A reader of a layout whose words can be indexed."""

    def words_indexer(self, server_now: Clock) -> WordsIndexer:
        """What keeps the index up to date. `server_now` is the server's clock."""


@runtime_checkable
class ReaderWithSearcher(Protocol):
    """A reader of a layout that has a searcher of its own."""

    def message_searcher(self) -> MessageSearcher:
        """The searcher."""
