"""Which sessions of a list a text addresses. Some stored ids have no text that finds them again."""

from __future__ import annotations

from collections.abc import Callable

from chatstore_cli.domain.session import Session
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.identifiers import REPLACED


class AddressableSessions:
    """Decides which sessions are listed, and counts those that are left out because no text addresses their id."""

    def __init__(self, locate: Callable[[str], object | None], *, in_memory: bool) -> None:
        """`locate` looks up a session by its text. It is only called for a text in which something was replaced."""
        self._locate = locate
        self._in_memory = in_memory
        self._left_out: set[str] = set()

    def __call__(self, session: Session, row: Document) -> bool:
        """Whether a text addresses the session. If not, it is counted, once for each `_id` of `row`."""
        text = session.session_id
        is_found = bool(text) and (REPLACED not in text or self._in_memory or self._locate(text) is not None)
        if not is_found:
            self._left_out.add(repr(row.get("_id"))[:200])
        return is_found

    @property
    def left_out(self) -> int:
        """The number of sessions that were left out."""
        return len(self._left_out)
