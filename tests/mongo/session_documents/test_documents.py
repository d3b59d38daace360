"""Sessions and messages of workflow documents, also of broken ones."""

from __future__ import annotations

import copy
import json
import uuid
from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from bson import Code, Decimal128, Int64, MaxKey, ObjectId, Regex, Timestamp, json_util
from hypothesis import given, settings
from hypothesis import strategies as st

from chatstore_cli.domain.session import Session, SessionStatus
from chatstore_cli.mongo.session_documents.documents import in_order, to_message, to_session
from chatstore_cli.mongo.workflow.shape import WORKFLOW
from chatstore_cli.render.json_text import as_json
from chatstore_cli.render.rows.sessions import message_row, session_row
from tests.support.bson_values import VALUES
from tests.support.paths import SAMPLES
from tests.support.stored_sessions import to_messages

SAMPLE = json.loads((SAMPLES / "workflow.json").read_text())
VARIANTS: list[dict[str, Any]] = [
    json_util.loads(json.dumps(document)) for document in SAMPLE["collections"]["chat_sessions"]
]


def session(**fields: Any) -> Session:
    return to_session(WORKFLOW, {"_id": "s", **fields})


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"status": 0}, "running"),
        ({"status": 0.0}, "running"),
        ({"status": Int64(1)}, "completed"),
        ({"status": Decimal128("2")}, "failed"),
        ({"status": -1}, "failed"),
        ({"status": "in_progress"}, "running"),
        ({"status": "running"}, "running"),
        ({"status": "completed"}, "completed"),
        ({"status": "failed"}, "failed"),
        ({"status": 0, "is_complete": True}, "running"),
        ({"is_complete": True}, "completed"),
        ({"is_complete": False}, "running"),
        ({"workflow_name": "w", "workflow_status": {"w": 0}}, "running"),
        ({"workflow_name": "w", "workflow_status": {"v": 0, "w": 1}}, "completed"),
        ({"workflow_status": {"only": 1}}, "completed"),
        ({"real_time_tracking": {"current_status": "failed"}}, "failed"),
        ({"workflow_status": {"w": 0}, "is_complete": True}, "completed"),
        ({"status": None, "is_complete": True}, "completed"),
        ({"status": True}, "unknown"),
        ({"status": 7}, "unknown"),
        ({"status": [0]}, "unknown"),
        ({}, "unknown"),
    ],
)
def test_status_is_read_in_every_variant(fields: dict[str, Any], status: str) -> None:
    assert SessionStatus(status) == session(**fields).status


HEX = "65f000000000000000000abc"


@pytest.mark.parametrize(
    ("fields", "tenant"),
    [
        ({"enterprise_id": "acme"}, "acme"),
        ({"enterprise_id": ObjectId(HEX)}, HEX),
        ({"app_id": "app"}, "app"),
        ({"enterprise_id": None, "app_id": ObjectId(HEX)}, HEX),
        ({"enterprise_id": {"a": 1}, "app_id": 12}, "12"),
        ({"enterprise_id": ""}, None),
        ({}, None),
    ],
)
def test_the_tenant_is_found_under_every_name(fields: dict[str, Any], tenant: str | None) -> None:
    assert tenant == session(**fields).tenant_id


@pytest.mark.parametrize("field", ["updated_at", "last_updated_at", "last_updated", "last_activity"])
@pytest.mark.parametrize("value", [datetime(2026, 1, 2, 3), "2026-01-02T03:00:00", "2026-01-02T04:00:00+01:00"])  # noqa: DTZ001 - naive is what is tried
def test_the_last_change_is_read_from_every_field_and_naive_is_utc(field: str, value: Any) -> None:
    assert datetime(2026, 1, 2, 3, tzinfo=UTC) == session(**{field: value}).updated_at


def test_an_unreadable_time_leaves_the_next_field_to_count() -> None:
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    assert moment == session(updated_at="soon", last_updated_at=None, last_updated=moment).updated_at


@pytest.mark.parametrize(
    ("stored", "role", "name"),
    [
        ({"sender": "Writer"}, "assistant", "Writer"),
        ({"sender": "user"}, "user", "user"),
        ({"agent_name": "Writer", "name": "x"}, "assistant", "Writer"),
        ({"name": "Writer"}, "assistant", "Writer"),
        ({"sender": "Eve", "is_user_proxy": True}, "user", "Eve"),
        ({"sender": "user", "role": "assistant"}, "assistant", "user"),
        ({"role": "function"}, "tool", None),
        ({"role": "Assistant"}, "assistant", None),
        ({"tool_call_id": "c"}, "tool", None),
        ({"role": 5}, "assistant", None),
        ({}, "assistant", None),
    ],
)
def test_speaker_and_role_are_found_or_derived(stored: dict[str, Any], role: str, name: str | None) -> None:
    message = to_message("s", {"content": "x", **stored})
    assert (role, name) == (message.role, message.name)


UUID = "0349bd11-5f4f-4a57-9d2a-6a2f2a4c7c11"


class _Printed:
    """An event as pydantic prints it, which a product stored as content."""

    def __init__(self, content: Any, sender: str | None, recipient: str | None) -> None:
        self.text = f"uuid=UUID('{UUID}') content={content!r} sender={sender!r} recipient={recipient!r}"


@given(
    st.text() | st.none() | st.lists(st.dictionaries(st.text(), st.text()), max_size=3), st.text(min_size=1) | st.none()
)
def test_what_an_event_said_is_recovered_from_its_debug_text(content: Any, sender: str | None) -> None:
    message = to_message("s", {"content": _Printed(content, sender, "user").text})
    assert (content, sender, UUID) == (message.content, message.name, message.message_id)


def test_recovered_text_does_not_replace_who_is_known_to_have_spoken() -> None:
    stored = {"content": _Printed("hi", "X", None).text, "sender": "Writer", "event_id": "e"}
    message = to_message("s", stored)
    assert (message.content, message.name, message.message_id) == ("hi", "Writer", "e")


@pytest.mark.parametrize(
    "text",
    [
        f"Look: {_Printed('hello', 'X', 'Y').text}",
        f"{_Printed('hello', 'X', 'Y').text} and more",
        f"uuid=UUID('{UUID}') content=hello sender='X' recipient='Y'",
        f"uuid=UUID('{UUID}') content='unfinished",
        f"uuid=UUID('{UUID}') content=__import__('os').getpid() sender='X' recipient='Y'",
        "uuid=UUID('...') content='hello' sender='X' recipient='Y'",
        "uuid=UUID(",
        f"uuid=UUID('{UUID}')\ncontent='hello' sender='X' recipient='Y'",
    ],
)
def test_text_that_only_resembles_debug_text_is_unchanged(text: str) -> None:
    assert text == to_message("s", {"content": text}).content


def test_order_is_by_sequence_and_a_message_without_one_follows_its_predecessor() -> None:
    assert list(in_order([3, None, 1, 5, 2])) == [2, 4, 0, 1, 3]
    assert list(in_order([None, None, None])) == [0, 1, 2]
    assert list(in_order([1, 1.5, Int64(1)])) == [0, 1, 2]


def test_content_of_every_stored_type_becomes_json() -> None:
    stored = {
        "a": [ObjectId(HEX), Decimal128("1.50"), Int64(5), datetime(2026, 1, 1, tzinfo=UTC), b"\x00\xff"],
        "b": {"c": Regex("x"), "d": MaxKey(), "e": Timestamp(0, 1), "f": uuid.UUID(UUID), "g": Code("f()")},
    }
    content = to_message("s", {"content": stored}).content
    assert content["a"] == [HEX, "1.50", 5, "2026-01-01T00:00:00Z", "AP8="]
    assert content["b"]["f"] == UUID
    assert content == json.loads(json.dumps(content))


def test_several_results_in_one_message_are_kept_with_it() -> None:
    responses = [{"tool_call_id": "a", "content": "1"}, {"tool_call_id": "b", "content": "2"}]
    assert {"tool_responses": responses} == to_message("s", {"role": "tool", "tool_responses": responses}).metadata


_numbers = st.integers(-(2**63), 2**63 - 1) | st.floats()
_scalars: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | _numbers
    | st.text()
    | st.datetimes()
    | st.datetimes(timezones=st.just(UTC))
    | st.binary()
    | st.sampled_from(
        [ObjectId(HEX), Decimal128("NaN"), Decimal128("-Infinity"), Decimal128("1E+6000"), Int64(3), Regex("x"), MaxKey(),
         Timestamp(1, 1), Code("f"), "2026-01-01", "0", "running", bson.DBRef("c", 1), uuid.UUID(UUID),
         f"uuid=UUID('{UUID}') content='\\ud800' sender='x' recipient='y'"]
    )
)  # fmt: skip
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def _paths(value: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, item in inner for path in [(*prefix, key), *_paths(item, (*prefix, key))]]


def _mangled(document: dict[str, Any], path: tuple[Any, ...], value: Any, *, remove: bool) -> dict[str, Any]:
    mangled = copy.deepcopy(document)
    holder: Any = mangled
    for step in path[:-1]:
        holder = holder[step]
    if remove:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return mangled


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_no_document_is_so_broken_that_reading_it_raises(data: st.DataObject) -> None:
    document = data.draw(st.sampled_from(VARIANTS))
    for _ in range(data.draw(st.integers(1, 4))):
        path = data.draw(st.sampled_from(_paths(document)))
        document = _mangled(document, path, data.draw(_values), remove=data.draw(st.booleans()))
        if not _paths(document):
            break
    as_json(session_row(to_session(WORKFLOW, document)))
    for message in to_messages(document):
        as_json(message_row(message))
        _ = message.from_general_agent


@given(st.dictionaries(st.text(max_size=8), _values, max_size=6), _values)
def test_no_document_of_arbitrary_values_raises_either(document: dict[str, Any], messages: Any) -> None:
    as_json(session_row(to_session(WORKFLOW, {**document, "messages": messages})))
    for message in to_messages({"_id": 1, "messages": messages}):
        as_json(message_row(message))


@pytest.mark.parametrize("field", ["role", "sender", "event_type", "is_user_proxy", "name"])
def test_any_value_in_a_message_that_does_not_name_its_role(field: str) -> None:
    for value in VALUES:
        message = to_message("s", {"content": "x", field: value})
        assert message.content == "x"
        assert message.role in {"user", "assistant", "system", "tool"}
