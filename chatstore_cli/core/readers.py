"""For commands over several layouts: which readers can answer a query, and which one has a session."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from chatstore_cli.domain.errors import Conflict, NotFound
from chatstore_cli.domain.quantities import alternatives
from chatstore_cli.domain.session_reader import (
    ReaderOfAddressableSessions,
    ReaderOfCollection,
    ReaderOfModels,
    ReaderOfOwnDocuments,
    ReaderWithoutUsage,
    ReaderWithRemarks,
    SessionReader,
)

if TYPE_CHECKING:
    from chatstore_cli.domain.foreign import ForeignDocuments
    from chatstore_cli.domain.queries import SessionQuery
    from chatstore_cli.domain.session import Session


def split_by_answer(
    readers: Sequence[SessionReader], query: SessionQuery, *, may_appear: bool = False
) -> tuple[list[SessionReader], list[str]]:
    """The readers that can answer every filter, and a note for each other one, whose sessions are left out.

    A layout whose collection does not exist gets no note, unless the collection `may_appear` during the command.
    """
    answering: list[SessionReader] = []
    notes: list[str] = []
    for reader in readers:
        fields = [*reader.unanswerable(query), *_not_stored(reader, query)]
        if not fields:
            answering.append(reader)
        elif may_appear or not (isinstance(reader, ReaderOfCollection) and reader.is_absent()):
            notes.append(f"The layout {reader.layout} has no {' and no '.join(fields)}, so its sessions are left out.")
    return answering, notes


def _not_stored(reader: SessionReader, query: SessionQuery) -> list[str]:
    """What a layout does not store, and an unindexed filter of the query needs."""
    no_usage = isinstance(reader, ReaderWithoutUsage)
    missing = {
        "tokens": query.min_tokens is not None and no_usage,
        "cost": query.min_cost is not None and no_usage,
        "model": query.model is not None and not isinstance(reader, ReaderOfModels),
    }
    return [name for name, is_missing in missing.items() if is_missing]


def foreign_of(readers: Sequence[SessionReader]) -> list[ForeignDocuments]:
    """The documents that the readers left out because they are not sessions or messages of their layouts."""
    found = [reader.foreign for reader in readers if isinstance(reader, ReaderOfOwnDocuments)]
    return [each for each in found if each is not None and each.foreign]


def unaddressable_of(readers: Sequence[SessionReader]) -> int:
    """How many sessions the readers left out because no text can be their id."""
    return sum(reader.unaddressable for reader in readers if isinstance(reader, ReaderOfAddressableSessions))


def remarks_of(readers: Sequence[SessionReader]) -> list[str]:
    """The readers' remarks on their last answers."""
    unaddressable = unaddressable_of(readers)
    sessions = "1 session was" if unaddressable == 1 else f"{unaddressable:,} sessions were"
    left_out = (
        f"{sessions} left out: a stored id is not a text, a number, an ObjectId or a UUID, or is not valid UTF-8."
    )
    remarks = [left_out] if unaddressable else []
    remarks += [f"{each.remark}.{' It was not searched.' * each.is_another_products}" for each in foreign_of(readers)]
    return remarks + _own_remarks(readers)


def not_searched(readers: Sequence[SessionReader]) -> str:
    """Which readers have not searched everything, and why, as sentences after a hint; empty if all have."""
    return "".join(f" {remark}" for remark in _own_remarks(readers))


def _own_remarks(readers: Sequence[SessionReader]) -> list[str]:
    return [
        f"{reader.layout}: {remark}"
        for reader in readers
        if isinstance(reader, ReaderWithRemarks)
        for remark in reader.remarks
    ]


class InvalidNumbers:
    """Counts the sessions with a stored number that is not valid, for one note about all of them."""

    def __init__(self, sessions: Iterable[Session] = ()) -> None:
        self._sessions = 0
        self._first = ""
        for session in sessions:
            self.note(session)

    def note(self, session: Session) -> None:
        """Count a session if it has such a number."""
        if session.invalid_numbers:
            self._sessions += 1
            self._first = self._first or f"{session.invalid_numbers[0]} of session {session.session_id!r}"

    def notes(self) -> list[str]:
        """One sentence, or none."""
        if not self._sessions:
            return []
        if self._sessions == 1:
            return [f"1 session has an invalid number, which counts as unknown: {self._first}."]
        some = f"{self._sessions:,} sessions have invalid numbers, which count as unknown"
        return [f"{some}. The first one is {self._first}."]


def notes_on(session: Session) -> list[str]:
    """The notices beside one session that is shown."""
    shared = [] if session.shared_id is None else [session.shared_id.note()]
    return [*shared, *InvalidNumbers([session]).notes()]


WHOLE_ID = "The whole id is required. To list session ids, run: chatstore sessions list."


def _suggestion(readers: Sequence[SessionReader], session_id: str) -> list[str]:
    from chatstore_cli.core.similar import suggestion
    from chatstore_cli.core.similar_sessions import similar_sessions

    meant = suggestion(similar_sessions(readers, session_id))
    return [] if meant is None else [meant]


def find_session(
    readers: Sequence[SessionReader], session_id: str, count_to: int | None = None
) -> tuple[SessionReader, Session]:
    """The session of that id, and the reader that has it. Raises NotFound, and Conflict if two layouts have it.

    Messages that are stored one by one are counted up to `count_to`.
    """
    matches = [(reader, session) for reader in readers if (session := reader.find(session_id, count_to)) is not None]
    if not matches:
        foreign = [f"{each.remark}." for each in foreign_of(readers)]
        remarks = not_searched(readers)  # before the suggestion, which reads lists and may add remarks about them
        searched = alternatives([reader.layout for reader in readers])
        raise NotFound(
            kind_of_thing="session",
            name=session_id,
            where=f" in {searched}" if searched else "",
            hint=" ".join([*_suggestion(readers, session_id), WHOLE_ID, *foreign]) + remarks,
        )
    if len(matches) > 1:
        layouts = [reader.layout for reader, _ in matches]
        what = f"Session {session_id!r} is in the layouts {' and '.join(layouts)}."
        raise Conflict(what=what, hint=f"Choose one: --layout {layouts[0]}.")
    return matches[0]
