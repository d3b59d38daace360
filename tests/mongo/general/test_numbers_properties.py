"""A property of numbers: each new one is above all that were given or stored before, whatever happens to counters."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chatstore_cli.config.settings import Settings
from chatstore_cli.mongo.general.counter_merges import MongoCounterMerges
from chatstore_cli.mongo.general.counters import number_of
from chatstore_cli.mongo.general.numbers import ChatNumbers
from tests.support.in_memory import connection_in_memory

OWNER = {"app_id": "acme", "user_id": "ann"}
EVENTS = st.one_of(
    st.just(("start", None)),
    st.tuples(st.just("delete"), st.integers(0, 20)),
    st.tuples(st.just("double"), st.one_of(st.integers(-2, 6), st.sampled_from([None, "3", "x", 2.0, 4.5]))),
    st.tuples(st.just("double in the older variant"), st.integers(0, 12)),
    st.tuples(st.just("the platform starts"), st.integers(0, 5)),
    st.just(("merge", None)),
    st.just(("lose the counters", None)),
)


@given(st.lists(EVENTS, max_size=20))
def test_no_number_comes_twice(events: list[tuple[str, Any]]) -> None:
    """`known` is the highest number that was given to anybody."""
    connection = connection_in_memory()
    numbers, merges = ChatNumbers(connection, Settings()), MongoCounterMerges(connection, Settings())
    chats, counters = connection.database["GeneralChatSessions"], connection.database["GeneralChatCounters"]
    known = 0
    for event, value in events:
        stored = sorted(each["general_sequence"] for each in chats.find())
        if event == "start":
            number = numbers.next_number("acme", "ann")
            assert number > max([known, *stored])
            known = number
            chats.insert_one({**OWNER, "general_sequence": number})
        elif event == "delete" and stored:
            number = stored[value % len(stored)]
            numbers.raise_to("acme", "ann", number)
            chats.delete_one({"general_sequence": number})
        elif event.startswith("double"):
            variant = {"app_id" if event == "double" else "enterprise_id": "acme", "user_id": "ann"}
            counters.insert_one({**variant, "sequence": value})
            known = max(known, number_of(value))
        elif event == "the platform starts":
            usable = [each for each in counters.find({"app_id": "acme"}) if isinstance(each["sequence"], int)]
            if usable:
                counter = usable[value % len(usable)]
                counters.update_one({"_id": counter["_id"]}, {"$inc": {"sequence": 1}})
                known = max(known, counter["sequence"] + 1)
        elif event == "merge":
            for doubled in merges.doubled("app_id") or []:
                merges.merge(doubled)
            assert merges.doubled("app_id") == []
        elif event == "lose the counters":
            counters.delete_many({})
            known = max(stored, default=0)  # what was known only to them can come again
