"""Sessions of several layouts as one list, and one session shown: the rules, over readers held in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from chatstore_cli.core.readers import find_session
from chatstore_cli.core.sessions.listing import LARGEST_PAGE, list_sessions, show_session
from chatstore_cli.domain.artifacts import NO_ARTIFACTS, SessionArtifacts
from chatstore_cli.domain.errors import BadValue, Conflict, NotAllowed, NotFound
from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.queries import MessageSelection, SessionKey, SessionQuery
from chatstore_cli.domain.session import Session

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class MemoryReader:
    """A layout in memory. `asked` counts the sessions that were taken from it."""

    layout: str
    sessions: list[Session] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    asked: int = 0

    def index_specs(self) -> tuple[IndexSpec, ...]:
        return ()

    def unanswerable(self, query: SessionQuery) -> list[str]:
        return self.lacking if query.tenant_id is not None else []

    def newest_first(self, query: SessionQuery, after: SessionKey | None, limit: int) -> Iterator[Session]:
        matching = (session for session in self.sessions if after is None or SessionKey.of(session) < after)
        for session in islice(sorted(matching, key=SessionKey.of, reverse=True), limit):
            self.asked += 1
            yield session

    def find(self, session_id: str, count_to: int | None = None) -> Session | None:
        return next((session for session in self.sessions if session.session_id == session_id), None)

    def messages(self, session_id: str, selection: MessageSelection) -> Iterator[Message]:
        session = self.find(session_id)
        assert session is not None
        every = [Message(session_id, "user", index) for index in range(session.message_count)]
        return iter(every if selection.last is None else every[len(every) - selection.last :])

    def all_facts(self, query: SessionQuery) -> Iterator[Session]:
        return iter(self.sessions)


def session(name: str, layout: str, minutes: int, messages: int = 0) -> Session:
    return Session(name, layout, updated_at=NOON + timedelta(minutes=minutes), message_count=messages)


@pytest.fixture
def readers() -> list[MemoryReader]:
    return [
        MemoryReader("workflow", [session(f"w{index}", "workflow", 2 * index) for index in range(5)]),
        MemoryReader("messages", [session(f"m{index}", "messages", 2 * index + 1) for index in range(5)]),
    ]


def test_the_layouts_come_as_one_list_newest_first(readers: list[MemoryReader]) -> None:
    page = list_sessions(readers, SessionQuery(), cursor=None, limit=4)

    assert [found.session_id for found in page.sessions] == ["m4", "w4", "m3", "w3"]


def test_following_the_cursor_gives_every_session_once_and_ends(readers: list[MemoryReader]) -> None:
    found: list[str] = []
    cursor = None
    while True:
        page = list_sessions(readers, SessionQuery(), cursor=cursor, limit=3)
        found += [shown.session_id for shown in page.sessions]
        if (cursor := page.next_cursor) is None:
            break

    assert found == ["m4", "w4", "m3", "w3", "m2", "w2", "m1", "w1", "m0", "w0"]


def test_a_page_that_is_exactly_full_has_no_next(readers: list[MemoryReader]) -> None:
    assert list_sessions(readers, SessionQuery(), cursor=None, limit=10).next_cursor is None


def test_no_more_sessions_are_read_than_the_page_and_one_from_each_layout(readers: list[MemoryReader]) -> None:
    readers[0].sessions = [session(f"w{index}", "workflow", 1000 + index) for index in range(50)]

    list_sessions(readers, SessionQuery(), cursor=None, limit=5)

    assert (readers[0].asked, readers[1].asked) == (6, 1)


def test_a_layout_that_cannot_answer_a_filter_is_left_out_and_named(readers: list[MemoryReader]) -> None:
    readers[1].lacking = ["tenant", "user"]

    page = list_sessions(readers, SessionQuery(tenant_id="acme"), cursor=None, limit=20)

    assert {found.layout for found in page.sessions} == {"workflow"}
    assert page.notes == ["The layout messages has no tenant and no user, so its sessions are left out."]


def test_remarks_of_a_layout_are_notes_of_the_page(readers: list[MemoryReader]) -> None:
    readers[1].remarks = ["is slow."]

    assert list_sessions(readers, SessionQuery(), cursor=None, limit=1).notes == ["messages: is slow."]


@pytest.mark.parametrize("limit", [0, LARGEST_PAGE + 1])
def test_a_page_has_a_size_within_bounds(readers: list[MemoryReader], limit: int) -> None:
    with pytest.raises(BadValue, match="--limit"):
        list_sessions(readers, SessionQuery(), cursor=None, limit=limit)


@pytest.mark.parametrize("cursor", ["", "!!", "e30", "WzFd"])
def test_an_unknown_cursor_is_rejected(readers: list[MemoryReader], cursor: str) -> None:
    with pytest.raises(BadValue, match="--cursor"):
        list_sessions(readers, SessionQuery(), cursor=cursor, limit=5)


def test_an_id_of_two_layouts_is_a_conflict_that_names_both(readers: list[MemoryReader]) -> None:
    readers[1].sessions.append(session("w1", "messages", 0))

    with pytest.raises(Conflict, match="workflow and messages") as caught:
        find_session(readers, "w1")

    assert "--layout workflow" in (caught.value.hint or "")
    assert find_session(readers[1:], "w1")[1].layout == "messages"


def test_an_id_of_no_layout_is_not_found(readers: list[MemoryReader]) -> None:
    with pytest.raises(NotFound, match="'nobody' in workflow or messages"):
        find_session(readers, "nobody")


@pytest.mark.parametrize(
    ("count", "first", "last", "shown_first", "shown_last"),
    [
        (10, 3, 3, [0, 1, 2], [7, 8, 9]),
        (5, 3, 3, [0, 1, 2], [3, 4]),
        (2, 3, 3, [0, 1], []),
        (10, 0, 2, [], [8, 9]),
        (10, 2, 0, [0, 1], []),
        (2, 0, 3, [], [0, 1]),
        (0, 3, 3, [], []),
    ],
)
def test_the_first_and_the_last_messages_never_overlap(
    count: int, first: int, last: int, shown_first: list[int], shown_last: list[int]
) -> None:
    reader = MemoryReader("workflow", [session("a", "workflow", 0, messages=count)])

    view = show_session([reader], "a", first=first, last=last)

    assert [message.content for message in view.first_messages] == shown_first
    assert [message.content for message in view.last_messages] == shown_last


def test_a_session_whose_count_is_capped_is_not_read_to_the_end() -> None:
    """Its count says too little, so that beginning and end are read apart."""
    capped = replace(session("a", "workflow", 0, messages=4), message_count_capped=True)
    reader = MemoryReader("workflow", [capped])

    view = show_session([reader], "a", first=3, last=3)

    assert [message.content for message in view.last_messages] == [1, 2, 3]


class ForbiddenArtifacts:
    """Artifacts on which the user has no right."""

    def of_session(self, session: Session) -> SessionArtifacts:
        """Raise NotAllowed."""
        raise NotAllowed(what="Not authorized to read ArtifactInstances.")

    def instance(self, artifact_id: str, tenant_id: str) -> None:
        """Not used."""

    def workflow_session(self, session_id: str, tenant_id: str) -> None:
        """Not used."""


def test_a_session_is_shown_without_artifacts_that_the_user_must_not_read() -> None:
    reader = MemoryReader("workflow", [session("a", "workflow", 0, messages=1)])
    view = show_session([reader], "a", first=3, last=3, artifacts=ForbiddenArtifacts)
    assert (view.session.session_id, view.artifacts) == ("a", NO_ARTIFACTS)
    assert view.notes == ["The artifacts of the session are not shown. Not authorized to read ArtifactInstances."]


def test_artifacts_of_layouts_without_any_are_not_looked_up() -> None:
    reader = MemoryReader("messages", [session("a", "messages", 0, messages=1)])
    assert show_session([reader], "a", first=3, last=3, artifacts=ForbiddenArtifacts).notes == []
