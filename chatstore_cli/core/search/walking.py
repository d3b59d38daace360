"""The steps of a search that walks the sessions of a layout and reads the candidates of many sessions at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from chatstore_cli.core.search.session_walk import Page, SessionWalk
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.search.models import Candidate, SearchQuery, SearchStep
from chatstore_cli.domain.session import Session

Item = TypeVar("Item")
Read = Callable[[Sequence[Item]], Iterable[tuple[Item, list[Message]]]]
"""Reads the candidates of sessions: for each in turn, as often as it has some."""


def session_steps(
    query: SearchQuery,
    *,
    page: Page[Item],
    find: Callable[[str], Item | None],
    session_of: Callable[[Item], Session],
    read: Read[Item],
) -> Iterator[SearchStep]:
    """A step or several for each session with candidates, and one for each page of sessions.

    Messages that are stored after the search began are left out, because they would have no place among its hits.
    """
    if query.session_id is not None:
        item = find(query.session_id)
        if item is not None and query.sessions.matches(session_of(item)):
            for _, messages in read([item]):
                yield _step(session_of(item), messages)
        return
    walk = SessionWalk(page, session_of, query)
    had_candidates: set[str] = set()
    """Other sessions may be read again if they change: that finds only what is new."""
    for found in walk.pages():
        items = [each for each in found.items if not (found.is_late and session_of(each).session_id in had_candidates)]
        for item, messages in read(items):
            session = session_of(item)
            had_candidates.add(session.session_id)
            step = _step(session, messages)
            if found.is_late:
                began = walk.began_at
                old = [each for each in step.candidates if began is None or (each.message.created_at or began) <= began]
                step = SearchStep(found.reached, old)
            yield step
        yield SearchStep(found.reached)


def _step(session: Session, messages: Sequence[Message]) -> SearchStep:
    of_session = (session.tenant_id, session.user_id, session.updated_at)
    candidates = [Candidate(message, *of_session) for message in messages]
    return SearchStep(session.updated_at, candidates)
