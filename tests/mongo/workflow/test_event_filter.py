"""A filter over event ids: what it does not know is certainly not there."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import bson
import pytest
from bson import Binary, ObjectId
from hypothesis import given
from hypothesis import strategies as some

from chatstore_cli.mongo.workflow.event_filter import EVENT_FILTER, EventFilter

IDS = some.one_of(
    some.text(),
    some.uuids(),
    some.integers(),
    some.binary(),
    some.builds(ObjectId, some.binary(min_size=12, max_size=12)),
)


def stored(known: EventFilter) -> EventFilter | None:
    """As it comes back from a database."""
    return EventFilter.from_document(bson.decode(bson.encode({EVENT_FILTER: known.to_document()})))


@given(some.lists(some.lists(IDS | some.none(), max_size=40), max_size=5))
def test_whatever_was_added_may_be_there_also_after_it_was_stored(runs: list[list[Any]]) -> None:
    known = EventFilter()
    for run in runs:
        known.add(len(run), run)
    assert known.messages == sum(map(len, runs))
    again = stored(known)
    assert again is not None and again.messages == known.messages
    for one in (known, again):
        assert all(one.may_hold(event_id) for run in runs for event_id in run if event_id is not None)


@pytest.mark.parametrize("kept", [ObjectId("0123456789abcdef01234567"), UUID(int=7), 12, "text", ["text", UUID(int=7)]])
def test_an_id_is_asked_for_as_text_whatever_it_is_stored_as(kept: Any) -> None:
    known = EventFilter()
    known.add(1, [kept])
    assert all(known.may_hold(str(each)) for each in (kept if isinstance(kept, list) else [kept]))


@pytest.mark.parametrize("count", [1, 1_024, 1_025, 40_000])
def test_few_new_ids_have_to_be_looked_up_and_it_stays_small(count: int) -> None:
    known = EventFilter()
    for at in range(0, count, 100):
        known.add(100, [str(uuid4()) for _ in range(min(100, count - at))])
    again = stored(known)
    assert again is not None
    assert sum(again.may_hold(str(uuid4())) for _ in range(4_000)) < 4_000 * 0.05
    assert again.size_bytes <= max(1_536, count * 4.6)


def test_it_goes_on_after_it_was_stored() -> None:
    ids = [str(uuid4()) for _ in range(3_000)]
    known: EventFilter | None = EventFilter()
    for at in range(0, len(ids), 300):
        assert known is not None
        known.add(300, ids[at : at + 300])
        known = stored(known)
    assert known is not None and known.messages == 3_000
    assert all(map(known.may_hold, ids))


def test_nothing_is_in_an_empty_one() -> None:
    assert not EventFilter().may_hold("x")


SOUND = {"messages": 1, "ids": 1, "filters": [b"\0" * 1_536]}


@pytest.mark.parametrize(
    "wrong",
    [
        None, 5, [], {}, SOUND | {"filters": None}, SOUND | {"filters": []}, SOUND | {"filters": [b"\0"]}, SOUND | {"filters": ["text"]},
        SOUND | {"filters": [b"\0" * 1_536] * 2}, SOUND | {"ids": -1}, SOUND | {"ids": 2_000}, SOUND | {"ids": "1"}, SOUND | {"ids": None},
        SOUND | {"messages": None}, SOUND | {"messages": "1"}, SOUND | {"filters": [Binary(b"\0" * 1_536, 0x80)] * 3},
    ],
)  # fmt: skip
def test_what_cannot_be_one_is_none(wrong: Any) -> None:
    assert EventFilter.from_document({EVENT_FILTER: SOUND}) is not None
    assert EventFilter.from_document({EVENT_FILTER: wrong}) is None
    assert EventFilter.from_document({}) is None
