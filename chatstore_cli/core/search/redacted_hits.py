"""Hits of a search without personal data: the message is redacted first, then the hits are looked for in what remains."""

from __future__ import annotations

from contextlib import nullcontext

from chatstore_cli.core.redaction import Redactor
from chatstore_cli.core.search.matcher import Match, Matcher
from chatstore_cli.core.search.message_text import message_text
from chatstore_cli.core.search.run import Limited
from chatstore_cli.core.search.snippets import snippet_of
from chatstore_cli.domain.search.models import SearchHit, SearchMode, SearchQuery


class RedactedHits:
    """Redacts the hits of one search. Offsets count characters of the redacted text."""

    def __init__(self, redactor: Redactor, query: SearchQuery, limited: Limited) -> None:
        self._redactor = redactor
        self._query = query
        self._matcher = Matcher(query)
        self._limited = limited if query.mode is SearchMode.REGEX else nullcontext

    def __call__(self, hit: SearchHit) -> SearchHit:
        """The hit with stand-ins. If the hit itself was redacted, its stand-in is marked, or else nothing."""
        message = self._redactor.message(hit.message)
        text = message_text(message)
        match = self._match(text) or Match(self._stand_in(text), False)
        snippet, start = snippet_of(text, *(match.offsets or ((0, 0),))[0])
        return hit._replace(
            message=message,
            offsets=match.offsets,
            more_offsets=match.more,
            snippet=snippet,
            snippet_start=start,
            text_length=len(text),
            tenant_id=self._redactor.optional(hit.tenant_id),
            user_id=self._redactor.optional(hit.user_id),
        )

    def _match(self, text: str) -> Match | None:
        try:
            with self._limited():
                return self._matcher.find(text)
        except TimeoutError:  # the pattern was fast enough for the stored text, and this one may be slower
            return None

    def _stand_in(self, text: str) -> tuple[tuple[int, int], ...]:
        """Where the text has what stands for the text of the query, such as an address that was searched for."""
        stand_in = self._redactor.text(self._query.text)
        start = text.find(stand_in) if stand_in != self._query.text else -1
        return () if start < 0 else ((start, start + len(stand_in)),)
