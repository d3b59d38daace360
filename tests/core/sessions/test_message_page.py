"""The page of messages before another one: every message once, also with gaps and without sequences, and little is read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from chatstore_cli.core.sessions.message_page import message_page
from chatstore_cli.core.sessions.message_place import MessagePlace, PlaceGone
from chatstore_cli.core.sessions.page_before import page_before, start_of
from chatstore_cli.domain.errors import BadValue
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.queries import MessageSelection

PAGE = 10
AT = datetime(2026, 3, 5, 10, tzinfo=UTC)


@dataclass
class Stored:
    """A reader of one session, which counts what it reads. A message without a sequence is selected like the one before it."""

    sequences: list[int | None]
    read: int = 0
    has_times: bool = False
    left_out: Collection[int] = ()

    def messages(self, session_id, selection):
        last = -1
        for number, sequence in enumerate(self.sequences):
            last = last if sequence is None else sequence
            if selection.after_sequence is None or last > selection.after_sequence:
                self.read += 1
                at = AT + timedelta(minutes=number) if self.has_times else None
                if number not in self.left_out:
                    yield message(number, sequence)._replace(created_at=at)


class StoredBySequence(Stored):
    """A reader that promises the order of the sequences."""

    orders_by_sequence = True


def message(number: int, sequence: int | None) -> Message:
    return Message(
        session_id="s", role="user", content=str(number), message_id=f"m{number}", sequence=sequence, created_at=None
    )


def page_of(reader: Stored, first: int) -> list[Message]:
    return list(reader.messages("s", MessageSelection()))[first : first + PAGE]


def sequences_of(page: list[Message]) -> list[int | None]:
    return [each.sequence for each in page]


def numbers(page: list[Message]) -> list[int]:
    return [int(each.content) for each in page]


SESSIONS = {
    "dense": list(range(95)),
    "from one": list(range(1, 96)),
    "gaps": [number * 37 for number in range(95)],
    "a long gap": [number + (number > 40) * 1_000_000 for number in range(95)],
    "some without": [None if number % 7 == 3 else number for number in range(95)],
    "first ones without": [None] * 25 + list(range(25, 95)),
    "all without": [None] * 95,
}


@pytest.mark.parametrize("kind", [StoredBySequence, Stored])
@pytest.mark.parametrize("sequences", SESSIONS.values(), ids=SESSIONS)
def test_backwards_from_the_end_every_message_comes_once_and_the_place_after_a_page_continues_it(kind, sequences):
    reader = kind(sequences)
    shown = [message(number, sequence) for number, sequence in enumerate(sequences)][-PAGE:]
    seen = numbers(shown)
    while True:
        page, following = page_before(reader, "s", start_of(shown), PAGE)
        if not page:
            break
        assert following is not None
        assert numbers(message_page(reader, "s", following, len(shown))[0]) == numbers(shown)
        seen = numbers(page) + seen
        shown = page
    assert seen == list(range(95))


def test_a_page_before_the_end_of_a_long_session_reads_that_page():
    reader = StoredBySequence(list(range(100_000)))
    page, _ = page_before(reader, "s", start_of([message(99_990, 99_990)]), PAGE)
    assert numbers(page) == list(range(99_980, 99_990))
    assert reader.read == PAGE + 1


@pytest.mark.parametrize("kind", [StoredBySequence, Stored])
def test_a_page_whose_first_message_was_deleted_still_has_the_page_before_it(kind):
    reader = kind(list(range(95)))
    start = start_of(page_of(reader, 50))
    del reader.sequences[45:51]
    page, following = page_before(reader, "s", start, PAGE)
    assert sequences_of(page) == list(range(35, 45))
    assert sequences_of(message_page(reader, "s", following, PAGE)[0]) == list(range(51, 61))


@pytest.mark.parametrize("kind", [StoredBySequence, Stored])
def test_the_page_before_it_is_complete_if_the_rest_of_the_session_was_deleted_too(kind):
    reader = kind(list(range(95)))
    start = start_of(page_of(reader, 50))
    del reader.sequences[50:]
    assert sequences_of(page_before(reader, "s", start, PAGE)[0]) == list(range(40, 50))
    del reader.sequences[:]
    assert page_before(reader, "s", start, PAGE) == ([], None)


@pytest.mark.parametrize("kind", [StoredBySequence, Stored])
@pytest.mark.parametrize("sequences", [[None] * 30, [5] * 30, [0] * 10 + [None] * 20], ids=["none", "equal", "first"])
def test_a_place_is_gone_if_nothing_tells_where_the_deleted_message_was(kind, sequences):
    reader = kind(sequences)
    start = start_of(page_of(reader, 20))
    reader.left_out = {20}
    with pytest.raises(PlaceGone, match="deleted"):
        page_before(reader, "s", start, PAGE)


@pytest.mark.parametrize("kind", [StoredBySequence, Stored])
def test_without_sequences_the_times_tell_where_a_deleted_message_was(kind):
    reader = kind([None] * 95, has_times=True)
    start, after = start_of(page_of(reader, 50)), message_page(reader, "s", MessagePlace(), 51)[1]
    reader.left_out = {3, 49, 50}
    page, following = page_before(reader, "s", start, PAGE)
    assert numbers(page) == list(range(39, 49))
    assert numbers(message_page(reader, "s", following, 3)[0]) == [51, 52, 53]
    page, after = message_page(reader, "s", after, PAGE)
    assert numbers(page) == list(range(51, 61))
    assert numbers(message_page(reader, "s", after, PAGE)[0]) == list(range(61, 71))


def test_messages_with_equal_contents_are_distinguished_by_those_after_them():
    reader = Stored([])
    said = ["hi", "ok", "ok", "bye", "ok", "ok", "more", "ok", "end"]
    reader.messages = lambda session_id, selection: (
        message(0, None)._replace(content=each, message_id=None) for each in said
    )
    every = list(reader.messages("s", MessageSelection()))
    for first in range(1, len(said)):
        page, _ = page_before(reader, "s", start_of(every[first:]), PAGE)
        assert [each.content for each in page] == said[:first]


def test_a_start_that_no_page_has_is_refused():
    with pytest.raises(BadValue):
        page_before(StoredBySequence([1, 2, 3]), "s", MessagePlace(skip=6), PAGE)


def test_messages_that_are_deleted_between_two_pages_do_not_shift_the_next_one():
    reader = Stored([number % 7 for number in range(30)])
    page, place = message_page(reader, "s", MessagePlace(), PAGE)
    assert numbers(page) == list(range(10))
    kept = [each for each in reader.messages("s", MessageSelection()) if each.content not in ("2", "5")]
    reader.messages = lambda session_id, selection: iter(kept)
    assert numbers(message_page(reader, "s", place, PAGE)[0]) == list(range(10, 20))
    del kept[7]  # the message that the place names: only its position is known
    with pytest.raises(PlaceGone):
        message_page(reader, "s", place, PAGE)


def test_messages_that_share_an_id_are_paged_to_their_end():
    reader = Stored([])
    reader.messages = lambda session_id, selection: (message(7, None) for _ in range(25))
    place, pages = MessagePlace(), []
    while place is not None:
        page, place = message_page(reader, "s", place, PAGE)
        pages.append(len(page))
    assert pages == [10, 10, 5]


@pytest.mark.parametrize("kind", [StoredBySequence, Stored])
def test_pages_after_a_sequence_repeat_no_message(kind):
    reader, place, seen = kind(list(range(40))), MessagePlace(after_sequence=4), []
    while place is not None:
        page, place = message_page(reader, "s", place, PAGE)
        seen += numbers(page)
    assert seen == list(range(5, 40))
