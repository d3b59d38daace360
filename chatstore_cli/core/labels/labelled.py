"""Sessions with the titles and tags that people gave them, and the sessions that have a tag."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from chatstore_cli.domain.errors import Unreachable, WrongUse
from chatstore_cli.domain.labels import NO_LABELS, Labels, SessionRef
from chatstore_cli.domain.queries import SessionQuery

if TYPE_CHECKING:
    from chatstore_cli.domain.labels import LabelReader
    from chatstore_cli.domain.session import Session
    from chatstore_cli.domain.session_reader import SessionReader
    from chatstore_cli.domain.watch import SessionChange

_AT_ONCE = 100
_LOOKED_UP_AT_ONCE = 1_000

MOST_TAGGED = 1_000
"""The most sessions with a tag that a list sorts. Each of them is looked up."""


def ref_of(session: Session) -> SessionRef:
    """The layout and the id of a session."""
    return SessionRef(session.layout, session.session_id)


def labelled(sessions: Iterable[Session], labels: LabelReader | None) -> Iterator[Session]:
    """The sessions with their tags and titles, in the same order; some are read ahead to ask for many at once.

    A title of chatstore's own is shown instead of the layout's.
    """
    if labels is None:
        yield from sessions
        return
    waiting = iter(sessions)
    while some := list(islice(waiting, _AT_ONCE)):
        found = labels.of(map(ref_of, some))
        yield from (with_labels(session, found.get(ref_of(session), NO_LABELS)) for session in some)


def with_labels(session: Session, own: Labels) -> Session:
    """The session with these labels."""
    return session if own == NO_LABELS else replace(session, title=own.title or session.title, tags=own.tags)


def labelled_change(change: SessionChange, labels: LabelReader | None) -> SessionChange:
    """The change with the labels of its session; without them if the server cannot be reached at this moment."""
    try:
        [session] = labelled([change.session], labels)
    except Unreachable:
        return change
    return replace(change, session=session)


def refs_with_tag(
    readers: Sequence[SessionReader], labels: LabelReader, tag: str, tenant_id: str | None = None
) -> frozenset[SessionRef]:
    """The readers' sessions with a tag, of one tenant or of all. Raises WrongUse for more than MOST_TAGGED."""
    return frozenset(_at_most(_tagged(readers, labels, tag, tenant_id), tag, MOST_TAGGED))


def tagged_ids(
    readers: Sequence[SessionReader], labels: LabelReader, tag: str, *, at_once: int
) -> Iterator[tuple[SessionReader, frozenset[str]]]:
    """The ids of the readers' sessions with a tag: those of one layout at a time, at most `at_once`."""
    by_layout: dict[str, tuple[SessionReader, set[str]]] = {reader.layout: (reader, set()) for reader in readers}
    for layout, session_id in labels.tagged(tag, list(by_layout)):
        reader, waiting = by_layout[layout]
        waiting.add(session_id)
        if len(waiting) == at_once:
            yield reader, frozenset(waiting)
            waiting.clear()
    yield from ((reader, frozenset(waiting)) for reader, waiting in by_layout.values() if waiting)


def _tagged(
    readers: Sequence[SessionReader], labels: LabelReader, tag: str, tenant_id: str | None
) -> Iterator[SessionRef]:
    """The sessions with a tag. Labels have no tenant, so the sessions of one tenant are asked for in its collections.

    A tenant must not learn from a limit how many sessions of others have the tag.
    """
    if tenant_id is None:
        yield from labels.tagged(tag, [reader.layout for reader in readers])
        return
    query = SessionQuery(tenant_id=tenant_id)
    answering = [reader for reader in readers if not reader.unanswerable(query)]
    for reader, ids in tagged_ids(answering, labels, tag, at_once=_LOOKED_UP_AT_ONCE):
        yield from map(ref_of, reader.all_facts(replace(query, among=ids)))


def _at_most(refs: Iterator[SessionRef], tag: str, most: int) -> list[SessionRef]:
    some = list(islice(refs, most + 1))
    if len(some) > most:
        raise WrongUse(
            what=f"More than {most:,} sessions have the tag {tag!r}, which is too many to look up.",
            hint="Narrow with --layout, or use another tag.",
        )
    return some


def tagged_sessions(
    readers: Sequence[SessionReader], query: SessionQuery, labels: LabelReader, *, most: int | None = None
) -> Iterator[Session]:
    """The sessions with the tag of the query that match its other filters, in no particular order.

    Raises WrongUse if more than `most` sessions have the tag, of the tenant of the query or of all. A session that was
    deleted elsewhere is left out.
    """
    by_layout = {reader.layout: reader for reader in readers}
    refs = _tagged(readers, labels, query.tag or "", query.tenant_id)
    if most is not None:
        refs = iter(_at_most(refs, query.tag or "", most))
    for ref in refs:
        session = by_layout[ref.layout].find(ref.session_id)
        if session is not None and query.matches(session):
            yield session
