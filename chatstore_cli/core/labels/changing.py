"""Changing the title and the tags of sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from chatstore_cli.core.labels.labelled import ref_of
from chatstore_cli.domain.errors import Conflict
from chatstore_cli.domain.labels import Labels, LabelStore, SessionRef

if TYPE_CHECKING:
    from chatstore_cli.domain.session import Session
    from chatstore_cli.domain.session_reader import SessionReader

Found = tuple["SessionReader", "Session"]


def add_tags(labels: LabelStore, sessions: Iterable[Found], tags: Sequence[str]) -> Iterator[tuple[SessionRef, Labels]]:
    """Add the tags to one session after the other, and yield the labels of each. Raises Conflict for too many tags."""
    for reader, session in _changeable(sessions):
        yield ref_of(session), _changed(labels, reader, session, lambda ref: labels.add_tags(ref, tags))


def remove_tags(
    labels: LabelStore, sessions: Iterable[Found], tags: Sequence[str]
) -> Iterator[tuple[SessionRef, Labels]]:
    """Remove the tags from one session after the other, and yield the labels of each."""
    for _, session in _changeable(sessions):
        yield ref_of(session), labels.remove_tags(ref_of(session), tags)


def set_title(labels: LabelStore, reader: SessionReader, session: Session, title: str) -> Labels:
    """Give the session a title of chatstore's own, or remove it if `title` is empty."""
    [(reader, session)] = _changeable([(reader, session)])
    return _changed(labels, reader, session, lambda ref: labels.set_title(ref, title))


def _changeable(sessions: Iterable[Found]) -> Sequence[Found]:
    """The sessions. Raises Conflict, before anything is changed, if several documents have the id of one."""
    found = list(sessions)
    for _, session in found:
        if session.shared_id is not None:
            raise session.shared_id.rejection()
    return found


def _changed(
    labels: LabelStore, reader: SessionReader, session: Session, change: Callable[[SessionRef], Labels]
) -> Labels:
    """Make the change, and undo it if the session was deleted meanwhile: its deletion may not have seen the labels."""
    changed = change(ref_of(session))
    if reader.find(session.session_id) is None:
        labels.remove(ref_of(session))
        raise Conflict(what=f"Session {session.session_id!r} was deleted at this moment, so it has no labels.")
    return changed
