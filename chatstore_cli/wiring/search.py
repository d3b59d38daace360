"""The searchers of the layouts: those that have an index or a filter in the server, and the generic one for the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatstore_cli.domain.search.ports import MessageSearcher
    from chatstore_cli.domain.session_reader import SessionReader
    from chatstore_cli.wiring.stores import Stores


def message_searchers(stores: Stores, layout: str | None = None) -> list[MessageSearcher]:
    """The searchers of every layout, or of the named one. Raises BadValue for an unknown layout."""
    return [_searcher_of(stores, reader) for reader in stores.session_readers(layout)]


def _searcher_of(stores: Stores, reader: SessionReader) -> MessageSearcher:
    """The layout's own searcher. The generic one serves layouts without one, and mongomock."""
    from chatstore_cli.core.search.scanning import ScanningSearcher

    return ScanningSearcher(reader)
