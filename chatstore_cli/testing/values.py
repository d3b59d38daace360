"""The contract of values: what is accepted is read back equal, everything else is rejected; copies in and out."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from chatstore_cli.domain.errors import InvalidThreadData
from chatstore_cli.testing.scene import ContractTests, raises, request

MAX = 2**63 - 1

ACCEPTED: list[dict[str, Any]] = [
    {},
    {"type": "text", "text": ""},
    {"null": None, "true": True, "false": False, "one": 1, "one point": 1.0, "zero": 0.0},
    {"integers": [MAX, -MAX - 1, 2**31, 2**53 + 1], "floats": [5e-324, 1.7976931348623157e308, 1e300, 0.1]},
    {"$set": {"a.b": 1, "$gt": "", "": {"": []}}, ".": 1, "a.": 2, ".a": 3, "$": 4, "_id": 5, "__proto__": 6},
    {"$ref": "c", "$id": 1, "$db": "d"},
    {"$oid": "0" * 24},
    {"$date": "2026-01-02T03:04:05Z"},
    {"$numberLong": "1"},
    {"$binary": {"base64": "", "subType": "00"}},
    {"text": "🦉 \u2028 \u2029 \u202e \u009b \x7f \ufeff \ufffe \U0010ffff é e\u0301 \r\n \t \x01"},
    {"empty": [[], {}, "", [[{}]]], "list": [1, "1", None, [True]]},
    {"z": 1, "a": {"y": 1, "b": 2}},
    {"0": "a", "1": "b"},
    {"text": "%s {x} ${y} <b> '; DROP TABLE chat_messages; --"},
]
"""Contents that must be read back with the same types and the same order of keys."""


def nested(levels: int) -> dict[str, Any]:
    """A content with so many levels of objects and lists."""
    value: Any = {}
    for level in range(levels - 2):
        value = [value] if level % 2 else {"a": value}
    return {"a": value}


REJECTED: list[tuple[Any, str]] = [
    ({"n": float("nan")}, "content.n"),
    ({"a": [{"b": float("-inf")}]}, "content.a[0].b"),
    ({"n": MAX + 1}, "content.n"),
    ({"n": -MAX - 2}, "content.n"),
    ({"a": {"b c": b"bytes"}}, 'content.a["b c"]'),
    ({"at": datetime(2026, 1, 1, tzinfo=UTC)}, "content.at"),
    ({"a": {1, 2}}, "content.a"),
    ({"a": {1: "one"}}, "content.a"),
    ({"a": "x\0y"}, "content.a"),
    ({"a": {"x\0y": 1}}, "content.a"),
    ({"a": ["\ud800"]}, "content.a[0]"),
    ({"a": {"\udfff": 1}}, "content.a"),
    (nested(91), "levels"),
    ({"text": "x" * (12 << 20)}, "12 MiB"),
]
"""Contents that cannot be stored, and words of the error."""


class ValueContract(ContractTests):
    def test_what_is_accepted_is_read_back_equal(self) -> None:
        scene = self.scene()
        thread = scene.thread()
        accepted = [*ACCEPTED, nested(90)]
        added = scene.repository.create_messages([request(thread, content=each) for each in accepted])
        for message, read in zip(added, scene.repository.get_messages(thread.id), strict=True):
            assert exact(read.content) == exact(message.content)
        assert [exact(message.content) for message in added] == [exact(content) for content in accepted]

    def test_an_edited_content_and_the_former_one_are_read_back_equal(self) -> None:
        scene = self.scene()
        [message] = scene.add(scene.thread(), "one")
        contents = [*ACCEPTED, nested(90)]
        for content in contents:
            scene.repository.edit_message(message.id, content)
        read = scene.repository.get_message(message.id)
        assert read is not None
        assert exact(read.content) == exact(contents[-1])
        assert [exact(edit.content) for edit in read.edits][1:] == [exact(content) for content in contents[:-1]]

    def test_minus_zero_becomes_zero(self) -> None:
        scene = self.scene()
        thread = scene.thread()
        scene.repository.create_message(request(thread, content={"zero": [-0.0]}))
        [read] = scene.repository.get_messages(thread.id)
        assert exact(read.content) == exact({"zero": [0.0]})

    def test_what_cannot_be_stored_is_rejected_with_its_path(self) -> None:
        scene = self.scene()
        thread = scene.thread()
        for content, words in REJECTED:
            unchecked = request(thread).model_copy(update={"content": content})
            with raises(InvalidThreadData, words):
                scene.repository.create_message(unchecked)
        assert scene.repository.get_messages(thread.id) == []

    def test_a_message_of_almost_12_mib_is_stored(self) -> None:
        scene = self.scene()
        thread = scene.thread()
        text = "é" * (6 << 20)
        stored = scene.repository.create_message(request(thread, text[:-100]))
        assert scene.repository.get_message(stored.id) == stored

    def test_later_changes_of_what_was_passed_change_nothing(self) -> None:
        scene = self.scene()
        content: dict[str, Any] = {"text": "one", "list": [1, {"a": 1}]}
        passed = request(scene.thread(), content=content)
        message = scene.repository.create_message(passed)
        for each in (content, passed.content):
            each["list"][1]["a"] = 2
            each["list"].append(3)
            each["text"] = "two"
        new = {"list": [1]}
        scene.repository.edit_message(message.id, new)
        new["list"].append(2)
        read = scene.repository.get_message(message.id)
        assert read is not None
        assert read.content == {"list": [1]}
        assert read.edits[0].content == {"text": "one", "list": [1, {"a": 1}]}

    def test_changes_of_what_was_returned_change_nothing(self) -> None:
        scene = self.scene()
        thread = scene.thread()
        repository = scene.repository
        first = repository.create_message(request(thread, content={"list": [1]}))
        edited = repository.edit_message(first.id, {"list": [2]})
        whole = repository.get_thread(thread.id)
        assert edited is not None
        assert whole is not None
        expected = whole.model_copy(deep=True)
        [streamed] = repository.iter_messages(thread.id)
        for message in (first, edited, *whole.chat_messages, *repository.get_messages(thread.id), streamed):
            message.content["list"].append(9)
            message.content["new"] = 1
            for edit in message.edits:
                edit.content["list"].append(9)
            message.edits.clear()
            message.sender_role = "tool"
        whole.chat_messages.clear()
        for read in (thread, whole, *repository.list_threads(scene.user_id)):
            read.name = "Changed"
        assert repository.get_thread(thread.id) == expected

    def test_changes_of_a_thread_that_was_returned_change_nothing(self) -> None:
        scene = self.scene()
        created = scene.thread("A thread")
        renamed = scene.repository.update_thread(created.id, name="Renamed")
        assert renamed is not None
        forked = scene.repository.fork_thread(created.id)
        imported = scene.repository.import_thread(scene.old_thread(), [])
        returned = [scene.thread("Renamed"), renamed, forked, imported]
        expected = [thread.model_copy(deep=True) for thread in returned]
        for thread in returned:
            thread.name = "Changed"
            if thread.forked_from is not None:
                thread.forked_from.sequence = 99
        assert [scene.repository.get_thread(thread.id) for thread in returned] == expected


def exact(content: Any) -> str:
    """A text that is equal for equal contents only, with their types and the order of their keys."""
    return json.dumps(content)
