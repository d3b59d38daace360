"""Moving the oldest messages of long sessions into segments: readers see the same before, during and after a move."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Decimal128, Int64, ObjectId, Regex
from hypothesis import given, settings
from hypothesis import strategies as some

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.segments.keeper import SegmentKeeper
from chatstore_cli.domain.errors import Conflict, NotFound
from chatstore_cli.domain.queries import MessageSelection, SessionQuery
from chatstore_cli.domain.segments import HeadSize, Move
from chatstore_cli.mongo.bson_arrays import StoredArray
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.session_documents.segment_copies import FENCE, SegmentCopy
from chatstore_cli.mongo.session_documents.segment_mover import MongoSegmentStore
from chatstore_cli.mongo.workflow.layout import WorkflowLayout
from chatstore_cli.mongo.workflow.shape import WORKFLOW

EVERYTHING = MessageSelection()
SOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
Document = dict[str, Any]


def message(number: int, sequence: int | None, **more: Any) -> Document:
    """A message whose content looks like an expression and a path."""
    content: Any = [f"message {number}", {"$literal": "$messages", "a.b": {"$x": 1}}]
    numbered = {} if sequence is None else {"sequence": sequence}
    return {"role": "user", "content": content, "event_id": f"e{number}", **numbered, **more}


def shuffled(count: int) -> list[int]:
    """Numbers in the same random order each time."""
    order = list(range(count))
    random.Random(20260302).shuffle(order)
    return order


COUNT = 80
ORDERS: dict[str, list[int | None]] = {
    "in order": list(range(COUNT)),
    "with gaps and doubles": [number // 2 * 3 for number in range(COUNT)],
    "without sequences": [None] * COUNT,
    "shuffled": [*shuffled(COUNT)],
    "shuffled, two of three without": [number if number % 3 == 0 else None for number in shuffled(COUNT)],
    "numbered only at first": [*range(5), *[None] * (COUNT - 5)],
    "numbered only later": [*[None] * (COUNT - 5), *range(5)],
}
HEADS: dict[str, Document] = {
    "A": {"enterprise_id": ObjectId(), "is_complete": False, "last_updated": SOON},
    "B": {"enterprise_id": "acme", "status": "in_progress", "last_updated_at": SOON.replace(tzinfo=None)},
    "C": {"_id": "chat", "enterprise_id": "acme", "status": 0},
    "D": {"_id": "chat", "app_id": "acme", "status": 1},
    "E": {"_id": "chat", "app_id": "acme", "status": 2, "failed_at": SOON},
    "ours": {"enterprise_id": "acme", "status": 0, "updated_at": SOON, "last_sequence": COUNT - 1},
}


@pytest.fixture
def layout(connection: Connection) -> WorkflowLayout:
    """The readers."""
    return WorkflowLayout(connection, Settings())


@pytest.fixture
def store(connection: Connection) -> MongoSegmentStore:
    """The store that moves messages."""
    return MongoSegmentStore(WORKFLOW, connection, Settings())


def head_of(variant: str, messages: list[Any]) -> Document:
    """A document of one of the variants in docs/layouts.md, with the session id `chat`."""
    document = {**HEADS[variant], "messages": messages, "odd": {"$key": 1}}
    return document if "_id" in document else {**document, "chat_id": "chat"}


def answers(layout: WorkflowLayout) -> list[Any]:
    """The answers of all readers about the session."""
    selections = [EVERYTHING, *(MessageSelection(last=last) for last in (1, 7, 60, 500))]
    selections += [MessageSelection(after_sequence=after) for after in (0, 3, 50)]
    selections += [MessageSelection(last=3, after_sequence=50), MessageSelection(include_general=False, last=40)]
    selections += [
        MessageSelection(first=first, after_sequence=after) for first in (1, 9, 70) for after in (None, -9, 9)
    ]
    selections += [MessageSelection(first=45, include_general=False)]
    found = [list(layout.messages("chat", selection)) for selection in selections]
    return [*found, layout.find("chat"), list(layout.all_facts(SessionQuery())), page(layout)]


def page(layout: WorkflowLayout) -> list[Any]:
    """The first page of the list."""
    return list(layout.newest_first(SessionQuery(), None, 10))


@pytest.mark.parametrize("order", ORDERS)
def test_readers_see_the_same_whatever_the_order_of_the_array(
    connection: Connection, layout: WorkflowLayout, store: MongoSegmentStore, order: str
):
    messages = [message(number, sequence) for number, sequence in enumerate(ORDERS[order])]
    messages[50]["source"] = "general_agent"
    connection.collection("chat_sessions").insert_one(head_of("ours", messages))
    before = answers(layout)
    moves = 0
    while store.move_oldest("chat", keep_messages=10, at_most_bytes=4_000) is not None:
        moves += 1
        assert answers(layout) == before
    head = store.head("chat")
    assert moves > 1 and head is not None and head.message_count < 40 and head.last_segment == moves


@pytest.mark.parametrize("variant", HEADS)
def test_documents_of_every_variant_are_split(
    connection: Connection, layout: WorkflowLayout, store: MongoSegmentStore, variant: str
):
    stored = head_of(variant, [message(number, number) for number in range(COUNT)])
    connection.collection("chat_sessions").insert_one(dict(stored))
    before = answers(layout)
    assert store.move_oldest("chat", at_most_bytes=5_000) is not None
    assert store.move_oldest("chat", at_most_bytes=5_000) is not None
    assert answers(layout) == before
    head = connection.collection("chat_sessions").find_one({}) or {}
    kept = {name: value for name, value in head.items() if name in stored and name not in ("messages", "_id")}
    assert set(head) - set(stored) <= {"_id", "last_segment", "moved_messages", "last_move"}
    assert {**stored, **kept} == stored or variant == "B"  # a naive date comes back aware
    segments = list(connection.collection("chat_session_segments").find().sort("segment"))
    assert [segment["_id"] for segment in segments] == ["chat:1", "chat:2"]
    assert [segment["chat_id"] for segment in segments] == ["chat", "chat"]
    assert segments[0]["last_sequence"] + 1 == segments[1]["first_sequence"]


def test_every_type_of_value_moves_as_it_is(connection: Connection, store: MongoSegmentStore):
    odd: list[Any] = [
        1, Int64(2), 2.0, Decimal128("1.10"), None, True, b"bytes", Regex("a.*", "i"), datetime(2026, 1, 1, tzinfo=UTC),
        ObjectId(), "text", [1, [2, {"$deep": "$$ROOT"}]], {"": "", "a.b": 1, "$set": {"x": 1}}, float("inf"), "\u202e\0",
    ]  # fmt: skip
    messages = [*odd, *({"content": value, "sequence": number} for number, value in enumerate(odd))]
    connection.collection("chat_sessions").insert_one({"chat_id": "chat", "messages": messages})
    stored = connection.collection("chat_sessions").find_one({})
    while store.move_oldest("chat", at_most_bytes=200) is not None:
        pass
    segments = connection.collection("chat_session_segments").find().sort("segment")
    moved = [moved for segment in segments for moved in segment["messages"]]
    assert [repr(each) for each in moved] == [repr(each) for each in (stored or {})["messages"]]


def test_a_missing_session_and_one_without_messages(connection: Connection, store: MongoSegmentStore):
    assert store.head("chat") is None
    with pytest.raises(NotFound):
        store.move_oldest("chat")
    for number, messages in enumerate(([], None, "text", {"0": 1})):
        connection.collection("chat_sessions").insert_one({"chat_id": f"chat-{number}", "messages": messages})
        assert store.move_oldest(f"chat-{number}") is None
    assert connection.collection("chat_session_segments").count_documents({}) == 0


@settings(max_examples=8)
@given(
    some.lists(some.one_of(some.none(), some.integers(-3, 30), some.floats(0, 9), some.text(max_size=2)), max_size=30),
    some.lists(some.tuples(some.integers(0, 12), some.integers(1, 900)), min_size=1, max_size=4),
)
def test_any_disorder_and_any_moves_leave_readers_answers_unchanged(
    mongod: Any, mongo_client: Any, sequences: list[Any], moves: list[tuple[int, int]]
):
    from chatstore_cli.mongo.connection import connect

    connection = connect(mongod.uri, "test_any_disorder", timeout_seconds=10)
    for name in ("chat_sessions", "chat_session_segments"):
        connection.collection(name).delete_many({})
    messages: list[Any] = [message(number, sequence) for number, sequence in enumerate(sequences)]
    connection.collection("chat_sessions").insert_one({"chat_id": "chat", "messages": [*messages, "no document"]})
    layout, store = WorkflowLayout(connection, Settings()), MongoSegmentStore(WORKFLOW, connection, Settings())
    before = answers(layout)
    for keep, at_most in moves:
        store.move_oldest("chat", keep_messages=keep, at_most_bytes=at_most)
        assert answers(layout) == before


def test_segments_below_a_sequence_are_not_opened(
    connection: Connection, layout: WorkflowLayout, store: MongoSegmentStore
):
    """A message that was smuggled into a segment shows whether the segment is read."""
    messages = [message(number, number) for number in range(COUNT)]
    connection.collection("chat_sessions").insert_one(head_of("ours", messages))
    while store.move_oldest("chat", keep_messages=10, at_most_bytes=4_000) is not None:
        pass
    segments = connection.collection("chat_session_segments")
    first, last = segments.find_one({"segment": 1}), segments.find_one(sort=[("segment", -1)])
    assert first is not None and last is not None and first["_id"] != last["_id"]
    for each in (first, last):
        segments.update_one({"_id": each["_id"]}, {"$push": {"messages": message(1_000, 1_000)}})

    def smuggled(after: int | None) -> int:
        found = layout.messages("chat", MessageSelection(after_sequence=after))
        return sum(each.sequence == 1_000 for each in found)

    assert smuggled(None) == smuggled(first["last_sequence"] - 1) == 2
    assert smuggled(first["last_sequence"]) == 1
    assert smuggled(last["last_sequence"]) == 0
    segments.update_one({"_id": first["_id"]}, {"$unset": {"last_sequence": 1}})
    assert (
        smuggled(last["last_sequence"]) == 2
    )  # the end of this segment is not known, so it and those after it are opened


# --- segments that do not count --------------------------------------------------------------------------------------


def test_segments_of_another_writer_are_read_with_a_head_that_names_no_number(
    connection: Connection, layout: WorkflowLayout, store: MongoSegmentStore
):
    segments = [
        {"_id": f"chat:{n}", "messages": [message(9 * n + each, 9 * n + each) for each in range(9)]} for n in range(3)
    ]
    connection.collection("chat_session_segments").insert_many(segments)
    rest = [message(number, number) for number in range(27, 60)]
    connection.collection("chat_sessions").insert_one(head_of("ours", rest))
    before = answers(layout)
    assert [each.sequence for each in before[0]] == list(range(60))
    move = store.move_oldest("chat", at_most_bytes=1_000)
    assert move is not None and move.segment == 3
    assert answers(layout) == before
    head = connection.collection("chat_sessions").find_one({}) or {}
    assert head["moved_messages"] == 27 + move.message_count


def test_a_head_that_names_a_number_and_no_count_has_the_segments_up_to_it(any_connection: Connection):
    layout = WorkflowLayout(any_connection, Settings())
    segments = [
        {"_id": f"chat:{n}", "messages": [message(each, each) for each in (2 * n - 1, 2 * n)]} for n in (1, 2, 3)
    ]
    any_connection.collection("chat_session_segments").insert_many(segments)
    head = head_of("ours", [message(5, 5), message(6, 6), message(7, 7)])
    any_connection.collection("chat_sessions").insert_one({**head, "last_segment": 2})
    found = answers(layout)
    assert [each.sequence for each in found[0]] == [1, 2, 3, 4, 5, 6, 7]
    session, (of_all,), (of_page,) = found[-3:]
    assert [each.message_count for each in (session, of_all, of_page)] == [7, 7, 7]


@pytest.mark.parametrize(
    ("odd", "next_segment"),
    [
        ({"last_segment": 1e300}, 1),
        ({"last_segment": Decimal128("1E400")}, 1),
        ({"last_segment": 2**62}, 2**62 + 1),
        ({"last_segment": -3}, 1),
        ({"last_segment": 0, "moved_messages": -5}, 1),
        ({"last_segment": 0, "moved_messages": 1e300}, 1),
        ({"moved_messages": 7}, 1),
    ],
    ids=repr,
)
def test_impossible_numbers_are_ignored(
    connection: Connection, layout: WorkflowLayout, store: MongoSegmentStore, odd: Document, next_segment: int
):
    messages = [message(number, number) for number in range(40)]
    messages[7]["sequence"], messages[20]["sequence"] = 1e300, Decimal128("-1E400")
    connection.collection("chat_sessions").insert_one({**head_of("ours", messages), **odd})
    foreign = ["chat:99999999999999999999", "chat:" + "9" * 5_000, "chat:9223372036854775808", "chat:x"]
    connection.collection("chat_session_segments").insert_many(
        [{"_id": name, "note": "not ours", "messages": [message(900, 900)]} for name in foreign]
    )
    before = answers(layout)
    assert [each.message_id for each in before[0]] == [f"e{number}" for number in range(40)]
    session, (of_all,), (of_page,) = before[-3:]
    assert [each.message_count for each in (session, of_all, of_page)] == [40, 40, 40]
    for keep, segment in ((30, next_segment), (20, next_segment + 1)):
        move = store.move_oldest("chat", keep_messages=keep)
        assert move is not None and move.segment == segment
        assert answers(layout) == before


def orphan_of(connection: Connection, store: MongoSegmentStore) -> Document:
    """Store what a move leaves that stops between its two steps: the head as before, and the segment; returns the segment."""
    sessions, segments = connection.collection("chat_sessions"), connection.collection("chat_session_segments")
    before = sessions.find_one({})
    assert before is not None and store.move_oldest("chat", at_most_bytes=2_000) is not None
    sessions.replace_one({"_id": before["_id"]}, before)
    (orphan,) = segments.find({"segment": before.get("last_segment", 0) + 1})
    return orphan


def let_leases_end(connection: Connection) -> None:
    """Change all leases as if every mover had begun long ago."""
    connection.collection("chat_session_segments").update_many({}, {"$set": {"lease.until": SOON}})


@pytest.mark.parametrize("moves_before", [0, 1])
def test_the_copy_of_an_interrupted_move_does_not_count_and_is_adopted(
    connection: Connection, layout: WorkflowLayout, store: MongoSegmentStore, moves_before: int
):
    messages = [message(number, number) for number in range(COUNT)]
    connection.collection("chat_sessions").insert_one(head_of("ours", messages))
    before = answers(layout)
    for _ in range(moves_before):
        store.move_oldest("chat", at_most_bytes=2_000)
    orphan = orphan_of(connection, store)
    assert answers(layout) == before
    move = store.move_oldest("chat", at_most_bytes=100)
    assert move == Move(moves_before + 1, orphan["message_count"], orphan["bytes"])
    assert answers(layout) == before


def test_the_copy_of_messages_that_have_changed_since_is_removed(
    connection: Connection, layout: WorkflowLayout, store: MongoSegmentStore
):
    sessions = connection.collection("chat_sessions")
    sessions.insert_one(head_of("ours", [message(number, number) for number in range(COUNT)]))
    orphan = orphan_of(connection, store)
    sessions.update_one({}, {"$set": {"messages.3.content": "edited", FENCE: "anything at all"}})
    before = answers(layout)
    with pytest.raises(Conflict, match="is in progress, or was interrupted"):  # its mover may still be at work
        store.move_oldest("chat", at_most_bytes=2_000)
    assert answers(layout) == before
    let_leases_end(connection)
    move = store.move_oldest("chat", at_most_bytes=2_000)
    assert move is not None and move.segment == 1
    assert answers(layout) == before and before[0][3].content == "edited"
    (segment,) = connection.collection("chat_session_segments").find({})
    assert segment["move"] != orphan["move"]
    assert isinstance((sessions.find_one({}) or {})[FENCE], ObjectId)


class Stopped:
    """A mover that is stopped directly before its second step, and continues later."""

    def __init__(self, store: MongoSegmentStore, monkeypatch: pytest.MonkeyPatch) -> None:
        self._store = store
        self._arguments: tuple[Any, ...] = ()

        def stop(_: Any, *arguments: Any) -> bool:
            self._arguments = arguments
            raise KeyboardInterrupt

        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(MongoSegmentStore, "_remove_from_head", stop)
            store.move_oldest("chat", at_most_bytes=2_000)

    def remove_from_head(self) -> bool:
        """Do the second step; returns whether it removed messages from the head."""
        return self._store._remove_from_head(*self._arguments)


def test_a_copy_that_a_move_in_progress_relies_on_is_not_removed(
    connection: Connection, layout: WorkflowLayout, store: MongoSegmentStore, monkeypatch: pytest.MonkeyPatch
):
    """Another mover finds other messages in the head; then the whole document is written back as it was before."""
    sessions = connection.collection("chat_sessions")
    sessions.insert_one(head_of("ours", [message(number, number) for number in range(COUNT)]))
    before, written = answers(layout), sessions.find_one({}) or {}
    stopped = Stopped(store, monkeypatch)
    sessions.update_one({}, {"$set": {"messages.3.content": "edited"}})
    monkeypatch.setattr("chatstore_cli.mongo.session_documents.segment_mover._MAX_WAITS", 0)
    with pytest.raises(Conflict, match="is in progress, or was interrupted"):
        MongoSegmentStore(WORKFLOW, connection, Settings()).move_oldest("chat", at_most_bytes=2_000)
    sessions.replace_one({}, written)
    assert stopped.remove_from_head()
    assert answers(layout) == before


@pytest.mark.parametrize("adopted", [False, True])
def test_a_move_that_was_stopped_for_long_changes_nothing(
    connection: Connection, layout: WorkflowLayout, store: MongoSegmentStore, monkeypatch: pytest.MonkeyPatch,
    adopted: bool,
):  # fmt: skip
    """Its copy was removed meanwhile, and the document was written back with the fence that it had when the move began."""
    sessions, segments = connection.collection("chat_sessions"), connection.collection("chat_session_segments")
    sessions.insert_one(head_of("ours", [message(number, number) for number in range(COUNT)]))
    before, written = answers(layout), sessions.find_one({}) or {}
    with monkeypatch.context() as patched:
        patched.setattr("chatstore_cli.mongo.session_documents.segment_copies.LEASE_SECONDS", -3_600)
        stopped = [Stopped(store, monkeypatch)]
        if adopted:  # by one that stops, too
            stopped.append(Stopped(MongoSegmentStore(WORKFLOW, connection, Settings()), monkeypatch))
    sessions.update_one({}, {"$set": {"messages.3.content": "edited"}})
    copy = segments.find_one({})
    with monkeypatch.context() as patched:

        def die(*_: Any) -> None:
            raise KeyboardInterrupt

        patched.setattr("chatstore_cli.mongo.session_documents.segment_mover.with_messages", die)
        with pytest.raises(KeyboardInterrupt):
            store.move_oldest("chat", at_most_bytes=2_000)
    assert segments.find_one({}) == copy
    other = MongoSegmentStore(WORKFLOW, connection, Settings())
    other._copies.remove(SegmentCopy("chat:1", 1, [], copy["move"], copy["lease"]), written["_id"])
    assert segments.count_documents({}) == 0
    sessions.replace_one({}, written)
    assert not any(each.remove_from_head() for each in stopped)
    assert answers(layout) == before


def test_an_adopted_copy_is_not_removed_by_the_mover_that_made_it(
    connection: Connection, layout: WorkflowLayout, store: MongoSegmentStore, monkeypatch: pytest.MonkeyPatch
):
    sessions = connection.collection("chat_sessions")
    sessions.insert_one(head_of("ours", [message(number, number) for number in range(COUNT)]))
    before, written = answers(layout), sessions.find_one({}) or {}
    remove_from_head, adopters = MongoSegmentStore._remove_from_head, []

    def adopt_first(self: Any, *arguments: Any) -> bool:
        if self is store:
            adopters.append(Stopped(MongoSegmentStore(WORKFLOW, connection, Settings()), monkeypatch))
            sessions.update_one({}, {"$set": {"messages.3.content": "edited"}})
        return remove_from_head(self, *arguments)

    monkeypatch.setattr("chatstore_cli.mongo.session_documents.segment_mover._MAX_WAITS", 2)
    monkeypatch.setattr(MongoSegmentStore, "_remove_from_head", adopt_first)
    with pytest.raises(Conflict, match="is in progress, or was interrupted"):
        store.move_oldest("chat", at_most_bytes=2_000)
    sessions.replace_one({}, written)
    assert adopters[0].remove_from_head()
    assert answers(layout) == before


def test_a_segment_that_is_deleted_before_it_counts_is_inserted_again(
    connection: Connection, layout: WorkflowLayout, store: MongoSegmentStore, monkeypatch: pytest.MonkeyPatch
):
    connection.collection("chat_sessions").insert_one(head_of("ours", [message(n, n) for n in range(COUNT)]))
    before, remove_from_head = answers(layout), MongoSegmentStore._remove_from_head

    def delete_first(self: Any, *arguments: Any) -> bool:
        connection.collection("chat_session_segments").delete_many({})
        return remove_from_head(self, *arguments)

    monkeypatch.setattr(MongoSegmentStore, "_remove_from_head", delete_first)
    assert store.move_oldest("chat", at_most_bytes=2_000) is not None
    assert answers(layout) == before


def test_messages_that_are_edited_between_the_two_steps_are_moved_as_they_are_then(
    connection: Connection, layout: WorkflowLayout, store: MongoSegmentStore, monkeypatch: pytest.MonkeyPatch
):
    sessions = connection.collection("chat_sessions")
    sessions.insert_one(head_of("ours", [message(number, number) for number in range(COUNT)]))
    remove_from_head = MongoSegmentStore._remove_from_head
    edits: list[Document] = [
        {"$set": {"messages.3.content": "edited"}},
        {"$pull": {"messages": {"sequence": 5}}},
        {"$pop": {"messages": -1}},
        {"$push": {"messages": {"$each": [message(500, 0)], "$position": 0}}},
    ]
    wanted: list[Any] = []

    def edit_first(self: Any, *arguments: Any) -> bool:
        if edits:
            sessions.update_one({}, edits.pop(0))
            wanted[:] = (sessions.find_one({}) or {})["messages"]
        return remove_from_head(self, *arguments)

    monkeypatch.setattr(MongoSegmentStore, "_remove_from_head", edit_first)
    assert store.move_oldest("chat", at_most_bytes=2_000) is not None
    assert edits == []
    segments = list(connection.collection("chat_session_segments").find())
    assert [segment["_id"] for segment in segments] == ["chat:1"]
    head = sessions.find_one({}) or {}
    assert segments[0]["messages"] + head["messages"] == wanted


def test_a_foreign_document_with_the_id_of_the_next_segment_is_named_and_left(
    connection: Connection, layout: WorkflowLayout, store: MongoSegmentStore
):
    connection.collection("chat_sessions").insert_one(head_of("ours", [message(1, 1), message(2, 2)]))
    connection.collection("chat_sessions").update_one({}, {"$set": {"last_segment": 0}})
    foreign = {"_id": "chat:1", "messages": ["theirs"]}
    connection.collection("chat_session_segments").insert_one(foreign)
    before = answers(layout)
    with pytest.raises(Conflict, match="'chat:1' that chatstore did not write"):
        store.move_oldest("chat")
    assert list(connection.collection("chat_session_segments").find()) == [foreign]
    assert answers(layout) == before


def test_a_session_that_is_deleted_while_messages_move_leaves_nothing(
    connection: Connection, layout: WorkflowLayout, store: MongoSegmentStore, monkeypatch: pytest.MonkeyPatch
):
    connection.collection("chat_sessions").insert_one(head_of("ours", [message(n, n) for n in range(COUNT)]))
    store.move_oldest("chat", at_most_bytes=1_000)
    remove_from_head = MongoSegmentStore._remove_from_head

    def delete_first(self: Any, *arguments: Any) -> bool:
        layout.remove("chat", SOON)
        connection.collection("chat_session_segments")
        return remove_from_head(self, *arguments)

    monkeypatch.setattr(MongoSegmentStore, "_remove_from_head", delete_first)
    with pytest.raises(NotFound):
        store.move_oldest("chat", at_most_bytes=1_000)
    assert connection.collection("chat_session_segments").count_documents({}) == 0


# --- readers and writers meanwhile -----------------------------------------------------------------------------------


def test_readers_and_writers_meanwhile_see_every_message_once(
    connection: Connection, layout: WorkflowLayout, store: MongoSegmentStore
):
    sessions = connection.collection("chat_sessions")
    sessions.insert_one(head_of("ours", [message(number, number) for number in range(300)]))
    stop = threading.Event()
    wrong: list[Any] = []
    seen = {"readings": 0}

    def read(selection: MessageSelection, expected: Callable[[list[int | None]], bool]) -> None:
        while not stop.is_set():
            numbers = [each.sequence for each in layout.messages("chat", selection)]
            seen["readings"] += 1
            if not expected(numbers):
                wrong.append(numbers)
                return

    def in_order(numbers: list[int | None]) -> bool:
        return numbers == list(range(len(numbers))) and len(numbers) >= 300

    def newest(numbers: list[int | None]) -> bool:
        first = numbers[0] or 0
        return len(numbers) == 250 and numbers == list(range(first, first + 250))

    def count() -> None:
        least = 300
        while not stop.is_set():
            found = [layout.find("chat"), page(layout)[0], next(layout.all_facts(SessionQuery()))]
            for session in found:
                if session is None or session.message_count < least:
                    wrong.append(session)
                    return
                least = session.message_count

    def append() -> None:
        for number in range(300, 600):
            sessions.update_one({"chat_id": "chat"}, {"$push": {"messages": message(number, number)}})

    threads = [
        threading.Thread(target=read, args=(EVERYTHING, in_order)),
        threading.Thread(target=read, args=(MessageSelection(last=250), newest)),
        threading.Thread(target=count),
    ]
    writer = threading.Thread(target=append)
    for thread in (*threads, writer):
        thread.start()
    movers = [MongoSegmentStore(WORKFLOW, connection, Settings()) for _ in range(2)]
    try:
        while writer.is_alive():
            for mover in movers:
                mover.move_oldest("chat", keep_messages=20, at_most_bytes=800)
    finally:
        writer.join()
        stop.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert seen["readings"] > 10
    assert [each.sequence for each in layout.messages("chat", EVERYTHING)] == list(range(600))


@pytest.mark.parametrize(
    "selection", [EVERYTHING, MessageSelection(last=COUNT - 3), MessageSelection(after_sequence=4)]
)
@pytest.mark.parametrize("order", ["in order", "shuffled"])
def test_a_document_whose_oldest_message_is_edited_all_the_time_is_read(
    connection: Connection, layout: WorkflowLayout, store: MongoSegmentStore, monkeypatch: pytest.MonkeyPatch,
    selection: MessageSelection, order: str,
):  # fmt: skip
    sessions = connection.collection("chat_sessions")
    messages = [message(number, sequence) for number, sequence in enumerate(ORDERS[order])]
    sessions.insert_one(head_of("ours", messages))
    if order == "in order":
        assert store.move_oldest("chat", at_most_bytes=1_000) is not None
    before = [each.content for each in layout.messages("chat", selection)]
    window, edits = StoredArray._window, []

    def edit_first(self: Any, *arguments: Any) -> Any:
        edits.append(sessions.update_one({}, {"$push": {"messages.0.metadata.edits": len(edits)}}).modified_count)
        return window(self, *arguments)

    monkeypatch.setattr(StoredArray, "_window", edit_first)
    assert [each.content for each in layout.messages("chat", selection)] == before
    assert sum(edits) > 2


@pytest.mark.parametrize("then", ["nothing", "moved as before", "moved otherwise"])
@pytest.mark.parametrize("begun", [1, 25, 45])
def test_an_older_copy_that_is_written_back_doubles_nothing_for_a_reader(
    connection: Connection, layout: WorkflowLayout, store: MongoSegmentStore, begun: int, then: str
):
    sessions = connection.collection("chat_sessions")
    sessions.insert_one(head_of("ours", [message(number, number) for number in range(COUNT)]))
    store.move_oldest("chat", keep_messages=60)
    copy = sessions.find_one({}) or {}
    store.move_oldest("chat", keep_messages=40)
    reading = layout.messages("chat", EVERYTHING)
    seen = [next(reading).sequence for _ in range(begun)]
    sessions.replace_one({"_id": copy["_id"]}, copy)
    if then != "nothing":
        if then == "moved otherwise":
            let_leases_end(connection)
            sessions.update_one({}, {"$set": {"messages.1.content": "edited"}})
        store.move_oldest("chat", keep_messages=40 if then == "moved as before" else 30)
    try:
        seen += [each.sequence for each in reading]
    except Conflict as error:
        assert "was written back" in error.message
        assert seen == list(range(len(seen)))
    else:
        assert seen == list(range(COUNT))
    assert [each.sequence for each in layout.messages("chat", EVERYTHING)] == list(range(COUNT))


# --- when ------------------------------------------------------------------------------------------------------------


def test_a_full_document_gets_room(start_mongod: Any):
    from pymongo.errors import OperationFailure

    from chatstore_cli.mongo.connection import connect

    # Standalone: with an oplog, 16 MiB at once are too much for the small cache of the tests' servers.
    connection = connect(start_mongod(replica_set=False).uri, "test_room", timeout_seconds=10)
    layout, store = WorkflowLayout(connection, Settings()), MongoSegmentStore(WORKFLOW, connection, Settings())
    sessions = connection.collection("chat_sessions")
    large = [message(number, number, padding="x" * 16_384) for number in range(1_011)]
    sessions.insert_one(head_of("C", large))
    next_one = message(1_011, 1_011, padding="y" * 400_000)
    with pytest.raises(OperationFailure):
        sessions.update_one({}, {"$push": {"messages": next_one}})
    keeper = SegmentKeeper(store)
    assert keeper.make_room("chat", 400_200) == 2
    sessions.update_one({}, {"$push": {"messages": next_one}})
    assert keeper.after_append("chat", 400_200) is None
    assert [each.sequence for each in layout.messages("chat", EVERYTHING)] == list(range(1_012))
    assert keeper.make_room("chat", 400_200) == 2, "there is room already"
    assert keeper.make_room("chat", 17 << 20) is None


def test_small_segments_keep_the_document_small(
    connection: Connection, layout: WorkflowLayout, store: MongoSegmentStore
):
    sessions = connection.collection("chat_sessions")
    sessions.insert_one(head_of("ours", []))
    keeper = SegmentKeeper(store, segment_messages=10)
    numbers = []
    for number in range(100):
        sessions.update_one({"chat_id": "chat"}, {"$push": {"messages": message(number, number)}})
        numbers.append(keeper.after_append("chat", 150))
        head = store.head("chat")
        assert head is not None and head.message_count < 20
    assert [number for number in numbers if number is not None] == list(range(1, 10))
    assert [each.sequence for each in layout.messages("chat", EVERYTHING)] == list(range(100))
    assert set(connection.collection("chat_session_segments").distinct("message_count")) == {10}


class CountingStore:
    """A store that counts its calls."""

    def __init__(self, head: HeadSize | None) -> None:
        self.size = head
        self.looks = self.moves = 0
        self.error: Exception | None = None

    def head(self, session_id: str) -> HeadSize | None:
        """The size that the test has set."""
        self.looks += 1
        return self.size

    def check_index(self) -> None:
        """There is none."""

    def move_oldest(self, session_id: str, *, keep_messages: int = 0, at_most_bytes: int = 0) -> Move | None:
        """Move nothing, or raise the error that the test has set."""
        self.moves += 1
        if self.error is not None:
            raise self.error
        return None


def test_the_size_of_a_head_is_read_rarely():
    store_double = CountingStore(HeadSize("workflow", "chat", 1_000, 1))
    keeper = SegmentKeeper(store_double)
    for _ in range(10_000):
        assert keeper.after_append("chat", 500) is None
    assert store_double.looks == 1 and store_double.moves == 0
    for number in range(2_000):
        keeper.after_append(f"chat-{number}", 500)
    assert store_double.looks == 2_001
    keeper.after_append("chat", 500)
    assert store_double.looks == 2_002, "what is remembered must be bounded"


def test_a_move_that_fails_does_not_make_the_append_fail():
    told: list[str] = []
    store_double = CountingStore(HeadSize("workflow", "chat", 13 << 20, 1))
    store_double.error = Conflict(what="They kept moving.")
    keeper = SegmentKeeper(store_double, warn=told.append)
    assert keeper.after_append("chat", 500) is None
    assert told == ["Session 'chat': its oldest messages could not be moved. They kept moving."]
    for _ in range(700):
        keeper.after_append("chat", 500)
    assert store_double.moves == 2
    store_double.size = HeadSize("workflow", "chat", 16 << 20, 1)
    with pytest.raises(Conflict):
        keeper.make_room("chat", 500)


def test_a_deleted_head_and_one_that_cannot_shrink_are_left_alone():
    assert SegmentKeeper(CountingStore(None)).after_append("chat", 500) is None
    store_double = CountingStore(HeadSize("workflow", "chat", 13 << 20, 1))
    keeper = SegmentKeeper(store_double)
    for _ in range(100):
        assert keeper.after_append("chat", 500) is None
    assert store_double.moves == 1
