"""Exports and imports of threads: nothing is lost, and a damaged file is reported with its place."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from chatstore_cli.core.threads.json_reader import JsonReader
from chatstore_cli.core.threads.thread_file import ThreadFile
from chatstore_cli.core.threads.transfer import exported, read_thread, with_new_ids
from chatstore_cli.domain.errors import InvalidThreadData
from chatstore_cli.domain.threads.models import ChatMessage, ChatThread, Edit, ForkedFrom

NOW = datetime(2026, 3, 2, 11, 41, 0, 195000, tzinfo=UTC)
THREAD = ChatThread(
    id="t/1\n",
    user_id="ana",
    org_id="$where",
    name="\x1b[2J{}\u202e name",
    created_at=NOW,
    updated_at=NOW,
    forked_from=ForkedFrom(thread_id="t-0", sequence=7),
)


def _message(number: int, **values: Any) -> ChatMessage:
    content = values.pop("content", {"type": "text", "text": f"text {number}"})
    return ChatMessage(
        id=f"m-{number}",
        chat_thread_id=THREAD.id,
        sender_role="user",
        content=content,
        created_at=NOW,
        updated_at=NOW,
        sequence=number,
        **values,
    )


MESSAGES = [
    _message(1, sender_id="ana"),
    _message(4, content={"$set": {"a.b": [None, True, 1.5, -(2**63), 2**63 - 1, "\u2028\x7f\x85\U0001f600"]}}),
    _message(9, edits=[Edit(content={"type": "text", "text": "former"}, edited_at=NOW)]),
]


def _export(messages: list[ChatMessage] = MESSAGES) -> str:
    return "".join(exported(THREAD, messages))


@pytest.mark.parametrize("messages", [[], MESSAGES])
@pytest.mark.parametrize("written", [str, str.encode, lambda text: json.dumps(json.loads(text), indent=4), json.loads])
def test_an_export_is_read_without_loss(messages: list[ChatMessage], written: Any) -> None:
    """Also in another layout of white space, and as values."""
    thread, read = read_thread(written(_export(messages)))
    assert (thread, list(read)) == (THREAD, messages)


def test_an_export_is_the_models_own_json_with_a_message_on_each_line() -> None:
    assert ChatThread.model_validate_json(_export()) == THREAD.model_copy(update={"chat_messages": MESSAGES})
    assert [json.loads(line.rstrip(","))["id"] for line in _export().split("\n")[1:-2]] == ["m-1", "m-4", "m-9"]


def test_a_dump_of_the_documented_library_has_no_zones_and_no_sequences() -> None:
    """Its fields are in this order, and `chat_messages` may come before others."""
    dump = """{"chat_messages": [{"id": "a", "chat_thread_id": "t", "sender_id": null, "sender_role": "wizard",
      "content": {"type": "text", "text": "hi"}, "created_at": "2025-02-03T04:05:06.789123",
      "updated_at": "2025-02-03T04:05:06.789123"}], "id": "t", "user_id": "u", "org_id": "o", "name": "",
      "created_at": "2025-02-03T04:05:06.000001", "updated_at": "2025-02-03T04:05:07"}"""
    thread, messages = read_thread(dump)
    assert (thread.name, thread.created_at) == ("", datetime(2025, 2, 3, 4, 5, 6, tzinfo=UTC))
    assert [message.content["text"] for message in messages] == ["hi"]


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ([("m-1", "t-1", {}), ("m-2", "t-1", {"a": float("nan")})], "Message 2: content.a: nan is not a finite number. It cannot be stored."),
        ([("m-1", "t-1", {}), ("m-1", "t-1", {})], "Message 2: id: 'm-1' is the id of an earlier message."),
        ([("m-1", "t-2", {})], "id: 't-1' is not the chat_thread_id of messages, 't-2'."),
        (7, "chat_messages: a list is expected, not a number."),
    ],
)  # fmt: skip
def test_objects_are_checked_before_anything_is_stored(messages: Any, error: str) -> None:
    """A file is checked in the same way. Of objects, the messages before the wrong one would have been stored."""
    times = {"created_at": NOW, "updated_at": NOW}
    if isinstance(messages, list):
        messages = [
            {"id": each, "chat_thread_id": thread_id, "sender_role": "user", "content": content, **times}
            for each, thread_id, content in messages
        ]
    source = {"id": "t-1", "user_id": "u", "org_id": "o", "name": "n", **times, "chat_messages": messages}
    with pytest.raises(InvalidThreadData) as raised:
        read_thread(source)
    assert raised.value.message == error


def test_a_copy_has_new_ids_and_keeps_everything_else() -> None:
    thread, messages = with_new_ids(THREAD, MESSAGES)
    copies = list(messages)
    assert thread.id != THREAD.id
    assert thread.model_copy(update={"id": THREAD.id}) == THREAD
    assert {copy.id for copy in copies}.isdisjoint(message.id for message in MESSAGES)
    assert [copy.content for copy in copies] == [message.content for message in MESSAGES]


def _replaced(old: str, new: str) -> bytes:
    assert old in _export()
    return _export().replace(old, new, 1).encode()


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "f.json is empty."),
        (b" \n\n", "f.json is empty."),
        (b"[]", "f.json, line 1, column 1: a JSON object is expected, not '['."),
        (b"id,name\n1,2", "f.json, line 1, column 1: a JSON object is expected, not 'i'."),
        (b"{}", "f.json: id, user_id, org_id, name, created_at, updated_at: missing."),
        (_export().encode()[:-3], "f.json, line 5, column 1: the text ends too early: the file is incomplete."),
        (_export().encode()[:-40], "f.json, line 4, column 277: the text ends too early: the file is incomplete."),
        (_export().encode() + b"{}", "f.json, line 6, column 1: the text continues after the end of the object."),
        (_replaced('"sequence":4', '"sequence":NaN'), "f.json, line 3, column 1: not JSON (NaN is not a JSON number)."),
        (_replaced('"sequence":4', '"sequence":x'), "f.json, line 3, column 264: not JSON (expecting value)."),
        (_replaced('"m-4"', '"m-1"'), "f.json, line 3, message 2: id: 'm-1' is the id of an earlier message."),
        (_replaced('"m-9"', "9"), "f.json, line 4, message 3: id: Input should be a valid string."),
        (_replaced('"m-9"', "null"), "f.json, line 4, message 3: id: missing."),
        (_replaced('"text 1"', '"\\u0000"'), "f.json, line 2, message 1: content.text: NUL at position 0. It cannot be stored."),
        (_replaced('"former"', "1e400"), "f.json, line 4, message 3: edits[0].content.text: inf is not a finite number. It cannot be stored."),
        (_replaced('"sequence":9', f'"sequence":{2**63}'), "f.json, line 4, message 3: sequence: 9,223,372,036,854,775,808 is not a number from 0 to 2**53."),
        (_replaced('"name"', '"label":1,"name"'), "f.json: 'label': chatstore has no such field, so it would be lost."),
        (_replaced('"edited_at"', '"at"'), "f.json, line 4, message 3: edits[0].'at': chatstore has no such field, so it would be lost."),
        (_replaced('"sequence":7', '"sequence":-1'), "f.json: forked_from.sequence: -1 is not a number from 0 to 2**53."),
        (_replaced('"chat_thread_id":"t/', '"chat_thread_id":"u/'), "f.json: id: 't/1\\n' is not the chat_thread_id of messages, 'u/1\\n'."),
        (_replaced("2026-03-02T11:41:00.195000Z", "0001-01-01T00:00:00+14:00"), "f.json: created_at: 0001-01-01 00:00:00+14:00 is not in the years 1 to 9999 in UTC."),
        (_replaced('"text 1"', "[" * 5000), "f.json, line 2, column 1: too many levels of lists and objects."),
        (_export().encode("utf-16"), "f.json, line 1, column 1: the byte 0xff is not UTF-8."),
        (_replaced("text 1", "caf\xe9").decode().encode("latin-1", "replace"), "f.json, line 2, column 113: the byte 0xe9 is not UTF-8."),
    ],
)  # fmt: skip
def test_a_damaged_file_is_reported_with_its_place(content: bytes, error: str) -> None:
    with pytest.raises(InvalidThreadData) as caught:
        ThreadFile(io.BytesIO(content), "f.json").checked()
    assert caught.value.message == error


class _SmallPieces(io.BytesIO):
    """Returns one byte at a time, whatever is asked for."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(1)


def test_values_are_read_across_the_ends_of_pieces() -> None:
    assert ThreadFile(_SmallPieces(_export().encode()), "f").checked() == (THREAD, 3)


def test_a_wrong_value_is_noticed_without_reading_the_rest() -> None:
    stream = io.BytesIO(b'{"a": wrong' + b" " * (1 << 24) + b"}")
    with pytest.raises(InvalidThreadData, match="line 1, column 7: not JSON"):
        list(JsonReader(stream, "f").members("m"))
    assert stream.tell() < 1 << 20
