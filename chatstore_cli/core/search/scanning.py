"""The searcher of a layout that has none of its own: reads sessions newest first, and all their messages."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from chatstore_cli.domain.errors import NotFound
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.queries import MessageSelection, SessionKey
from chatstore_cli.domain.search.models import Candidate, SearchQuery, SearchStep, TextFilter
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.session_reader import SessionReader

_PAGE = 200
_BATCH = 500


class ScanningSearcher:
    """Every message of every session that the query selects is a candidate."""

    def __init__(self, reader: SessionReader) -> None:
        self.reader = reader

    def steps(self, query: SearchQuery, text: TextFilter) -> Iterator[SearchStep]:
        """A step or several for each session, and one for each page of sessions."""
        for session in self._sessions(query):
            messages = self._messages(session.session_id)
            while batch := list(islice(messages, _BATCH)):
                yield SearchStep(
                    session.updated_at,
                    [Candidate(message, session.tenant_id, session.user_id, session.updated_at) for message in batch],
                )

    def _sessions(self, query: SearchQuery) -> Iterator[Session]:
        if query.session_id is not None:
            session = self.reader.find(query.session_id)
            if session is not None and query.sessions.matches(session):
                yield session
            return
        after: SessionKey | None = None
        while page := list(self.reader.newest_first(query.sessions, after, _PAGE)):
            yield from page
            if len(page) < _PAGE:
                return
            after = SessionKey.of(page[-1])

    def _messages(self, session_id: str) -> Iterator[Message]:
        try:
            yield from self.reader.messages(session_id, MessageSelection())
        except NotFound:  # deleted meanwhile
            return
