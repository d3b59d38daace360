"""Any JSON content is stored and read back equal; everything else is rejected with its path."""

from __future__ import annotations

import json
from collections import OrderedDict
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatstore_cli.core.threads.checks import checked_content, checked_name, checked_role, size_of
from chatstore_cli.core.threads.manager import StateManager
from chatstore_cli.core.threads.prompt_messages import text_of
from chatstore_cli.domain.errors import InvalidThreadData
from chatstore_cli.domain.threads.models import ChatMessage, CreateChatMessageRequest, CreateChatThreadRequest
from chatstore_cli.domain.threads.ports import ConversationRepository
from tests.support.json_values import CONTENTS, VALUES
from tests.support.thread_stores import STORES, repository_of

WRONG = st.sampled_from(
    [float("nan"), float("inf"), 2**63, -(2**63) - 1, "\0", "\ud800", b"", {1}, Decimal(1), datetime(2026, 1, 1, tzinfo=UTC),
     object(), {1: 2}, {None: 1}, {"\0": 1}, {"\udc00": 1}]
)  # fmt: skip
STEPS = st.lists(
    st.one_of(st.integers(0, 3), st.sampled_from(["a", "b c", "x.y", "", "$set", "é", "a" * 150])), max_size=5
)


@pytest.fixture(
    scope="module", params=[*STORES[:-1], pytest.param("standalone", marks=[pytest.mark.real, pytest.mark.soak])]
)
def repository(request: pytest.FixtureRequest) -> ConversationRepository:
    """A repository on each store. Both kinds of server keep the same values."""
    return repository_of(request)


def exact(value: Any) -> str:
    """A text that is equal for equal values of the same types only.

    The contract tests the order of keys. Here it does not count, because the driver orders an object with $ref and $id.
    """
    return json.dumps(value, sort_keys=True)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(contents=st.lists(CONTENTS, min_size=1, max_size=5))
def test_a_json_content_is_read_back_equal(repository: ConversationRepository, contents: list[dict[str, Any]]) -> None:
    thread = repository.create_thread(CreateChatThreadRequest(user_id="alice", org_id="acme", name="A thread"))
    requests = [
        CreateChatMessageRequest(chat_thread_id=thread.id, sender_role="user", content=content) for content in contents
    ]
    added = repository.create_messages(requests)
    read = repository.get_messages(thread.id)
    assert read == added
    assert [message.content for message in read] == contents
    contents = [checked_content(content)[0] for content in contents]
    assert [exact(message.content) for message in read] == [exact(content) for content in contents]
    edited = repository.edit_message(read[0].id, contents[-1])
    stored = repository.get_message(read[0].id)
    assert edited is not None
    assert stored == edited
    assert exact(stored.content) == exact(contents[-1])
    assert [exact(edit.content) for edit in stored.edits] == [exact(contents[0])] * (
        exact(contents[0]) != exact(contents[-1])
    )
    manager = StateManager(repository)
    copy = manager.import_thread(manager.export_thread(thread.id), new_ids=True)
    assert [exact(each.content) for each in manager.get_messages(copy.id)] == [
        exact(each.content) for each in manager.get_messages(thread.id)
    ]


@settings(max_examples=60)
@given(steps=STEPS, wrong=WRONG)
def test_a_wrong_value_is_named_by_its_path(steps: list[str | int], wrong: Any) -> None:
    value, path = wrong, ""
    for step in reversed(steps):
        if isinstance(step, int):
            value, path = [0] * step + [value], f"[{step}]{path}"
        else:
            shown = f".{step}" if step in {"a", "$set"} else f"[{json.dumps(step[:100])}]"
            value, path = {"before": 1, step: value}, f"{shown}{path}"
    with pytest.raises(InvalidThreadData) as caught:
        checked_content({"top": value})
    assert caught.value.message.startswith(f"content.top{path}: "[:300])
    assert caught.value.message.isprintable()


@settings(max_examples=60)
@given(CONTENTS)
def test_a_checked_content_is_an_equal_copy(content: dict[str, Any]) -> None:
    before = exact(content)
    copy, size = checked_content(content)
    assert copy == content
    assert exact(copy).replace("-0.0", "0.0") == before.replace("-0.0", "0.0")
    assert size + 16 == size_of(copy)
    _scribble(copy)
    assert exact(content) == before


def _scribble(value: Any) -> None:
    """Change a value in every place."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in list(inner):
        _scribble(each)
    if isinstance(value, dict):
        value["scribbled"] = 1
    elif isinstance(value, list):
        value.append("scribbled")


@settings(max_examples=60)
@given(
    st.dictionaries(
        st.sampled_from(["type", "text", "content", "parts", "metadata", "image_url", "source"]),
        st.one_of(VALUES, st.lists(CONTENTS, max_size=2)),
    )
)
def test_the_text_of_any_content_is_a_text(content: dict[str, Any]) -> None:
    message = ChatMessage(chat_thread_id="t", sender_role="user", content=content)
    [converted] = StateManager().convert_to_conversation_messages([message])
    assert converted.content == text_of(content)


class Color(str, Enum):  # noqa: UP042 - str() of its members is their name, unlike that of a StrEnum's
    RED = "red"


class Role(StrEnum):
    USER = "user"


class Level(IntEnum):
    HIGH = 3


class Text(str):
    __slots__ = ()


def test_subclasses_are_stored_as_what_they_are() -> None:
    content = {
        "enum": Color.RED, "str enum": Role.USER, "int enum": Level.HIGH, "text": Text("a"), Text("key"): 1,
        "tuple": (1, (2,)), "ordered": OrderedDict(a=1), "proxy": MappingProxyType({"a": (1,)}),
    }  # fmt: skip
    copy, _ = checked_content(MappingProxyType(content))
    assert copy == {
        "enum": "red", "str enum": "user", "int enum": 3, "text": "a", "key": 1, "tuple": [1, [2]], "ordered": {"a": 1},
        "proxy": {"a": [1]},
    }  # fmt: skip
    assert {type(value) for value in copy.values()} == {str, int, list, dict}
    assert {type(key) for key in copy} == {str}
    assert checked_role(Role.USER, strict=True) == checked_role(Text("user"), strict=True) == "user"
    assert type(checked_name(Color.RED)) is str
    assert checked_name(Color.RED) == "red"


def test_a_content_that_contains_itself_is_rejected() -> None:
    content: dict[str, Any] = {}
    content["self"] = [content]
    with pytest.raises(InvalidThreadData, match="levels"):
        checked_content(content)


def test_many_small_values_count_too() -> None:
    with pytest.raises(InvalidThreadData, match=r"content\.many\[\d+\]: the content exceeds 12 MiB"):
        checked_content({"many": [0] * 800_000})
