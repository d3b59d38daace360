"""Many messages from JSON lines: every bad line is named, and nothing is stored unless all lines are good."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from chatstore_cli.core.threads.memory import MemoryThreadStore
from chatstore_cli.core.threads.message_lines import MessageLines
from chatstore_cli.core.threads.repository import StoredConversations
from chatstore_cli.domain.errors import BadLines, Interrupted, InvalidThreadData, Unreachable
from chatstore_cli.domain.threads.models import CreateChatThreadRequest
from chatstore_cli.domain.threads.ports import ANYONE


class _Repository(StoredConversations):
    """Notes the sizes of batches, and fails at one of them."""

    def __init__(self, failure: BaseException | None = None, at_batch: int = 0) -> None:
        super().__init__(MemoryThreadStore())
        self.thread_id = self.create_thread(CreateChatThreadRequest(user_id="u", org_id="o", name="n")).id
        self.batches: list[int] = []
        self._failure, self._at_batch = failure, at_batch

    def create_messages(self, requests: Any, **options: Any) -> Any:
        if self._failure is not None and len(self.batches) == self._at_batch:
            raise self._failure
        self.batches.append(len(requests))
        return super().create_messages(requests, **options)


def _line(**values: Any) -> bytes:
    return json.dumps({"role": "user", "content": "x", **values}).encode() + b"\n"


def _lines(repository: _Repository, content: bytes) -> MessageLines:
    return MessageLines(io.BytesIO(content), "m.jsonl", repository.thread_id)


def test_messages_are_stored_in_their_order() -> None:
    repository = _Repository()
    picture = {"type": "image", "url": "x"}
    content = (
        b"\xef\xbb\xbf"
        + _line(name="ana", message_id="m1")
        + b"\n  \r\n"
        + _line(role="tool", content=picture, metadata={"n": 1})
        + _line().rstrip()
    )
    lines = _lines(repository, content)
    assert lines.check() == 3
    added = lines.store(repository, ANYONE)
    assert (added.messages, added.first_sequence, added.last_sequence, added.last_line) == (3, 1, 3, 5)
    stored = repository.get_messages(repository.thread_id)
    assert [(each.sender_role, each.sender_id) for each in stored] == [("user", "ana"), ("tool", None), ("user", None)]
    assert stored[0].id == "m1"
    assert stored[1].content == {**picture, "metadata": {"n": 1}}


def test_every_bad_line_is_named() -> None:
    repository = _Repository()
    flaws = {
        _line(role="wizard"): "role: 'wizard' is not one of",
        b"{bad}\n": "it is not JSON: Expecting property name enclosed in double quotes at column 2.",
        b"[1]\n": "it is not a JSON object.",
        b'{"role": "user"}\n': "content: missing.",
        b'{"content": null}\n': "role and content: missing.",
        _line(seq=1): "'seq' is not a key of a message. Its keys are role, content, name, metadata, message_id.",
        _line(content=5): "content: it is neither a text nor a JSON object.",
        _line(metadata=[1]): "metadata: it is not a JSON object.",
        _line(name=""): "name: it is empty",
        _line(content={"a\nb": "\0"}): "NUL at position 0",
        b'{"role": "user", "content": {"a": NaN}}\n': "NaN is not a JSON number",
        b'{"role": "user", "content": "\xff"}\n': "byte 30 is not UTF-8.",
        _line(message_id="twice"): "message_id: 'twice' is the id of an earlier line.",
    }
    with pytest.raises(BadLines) as caught:
        _lines(repository, _line(message_id="twice") + b"".join(flaws)).check()
    first, *rest = caught.value.message.split("\n")
    assert first == "m.jsonl has 13 bad lines. Nothing was stored."
    assert len(rest) == 13
    for number, (line, flaw) in enumerate(zip(rest, flaws.values(), strict=True), 2):
        assert line.startswith(f"Line {number}: "), line
        assert flaw in line


def test_of_many_bad_lines_the_first_are_named_and_the_others_counted() -> None:
    with pytest.raises(BadLines) as caught:
        _lines(_Repository(), b"bad\n" * 50).check()
    assert caught.value.message.split("\n")[-1] == "… and 30 more bad lines."


@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_an_input_without_messages_is_reported(content: bytes) -> None:
    with pytest.raises(InvalidThreadData, match=r"m\.jsonl has no messages\."):
        _lines(_Repository(), content).check()


def test_batches_have_at_most_1000_messages_and_12_mib() -> None:
    repository = _Repository()
    _lines(repository, _line() * 2500).store(repository, ANYONE)
    large = _line(content="x" * (5 << 20))
    _lines(repository, large * 5).store(repository, ANYONE)
    assert repository.batches == [1000, 1000, 500, 2, 2, 1]


@pytest.mark.parametrize("failure", [Unreachable(what="No server.", hint="Start it."), KeyboardInterrupt()])
@pytest.mark.parametrize(
    ("at_batch", "stored"), [(0, "No message is known"), (2, "Lines 1 to 2,001 are stored (2,000")]
)
def test_a_failure_says_which_lines_are_stored(failure: BaseException, at_batch: int, stored: str) -> None:
    repository = _Repository(failure, at_batch)
    with pytest.raises((Unreachable, Interrupted)) as caught:
        _lines(repository, _line() * 5 + b"\n" + _line() * 2495).store(repository, ANYONE)
    assert stored in caught.value.as_text()
    assert "run the command again" in caught.value.as_text()
