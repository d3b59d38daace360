"""The socket of the multi-agent platform, with a WebSocket client that nobody here wrote, over a real replica set."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from chatstore_cli.core.workflow.client_chats import cache_seed
from chatstore_cli.domain.errors import Overdue
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.server.sockets import platform as platform_module
from chatstore_cli.server.sockets.platform_replay import PlatformReplay
from tests.support.mongod import poll
from tests.support.platform_server import Client, PlatformServer, running
from tests.support.served_app import settings_of

FRAME_KEYS = ["index", "content", "role", "agent", "sender", "replay", "timestamp", "metadata"]
BOUNDARY_KEYS = [
    "kind", "chat_id", "message_count", "chat_status", "replayed_messages", "last_message_index", "resume_mode",
    "timestamp", "ag2_resume", "resume_context",
]  # fmt: skip


@pytest.fixture(scope="module")
def platform(mongod: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformServer]:
    """One server for the tests of this module, each of which has a tenant of its own."""
    database = f"test_{uuid.uuid4().hex[:12]}"
    with running(settings_of(tmp_path_factory.mktemp("platform"), mongod.uri, database)) as server:
        yield server
    mongod.client().drop_database(database)


@pytest.fixture
def tenant() -> str:
    """A tenant of this test alone."""
    return f"t{uuid.uuid4().hex[:8]}"


def sessions(platform: PlatformServer) -> Any:
    """The collection of workflow sessions."""
    return platform.services.stores.connection.database["chat_sessions"]


def stored_rows(platform: PlatformServer, path: str) -> list[dict[str, Any]]:
    """The turns of a workflow session as they are stored."""
    chat_id = path.split("/")[4]
    found = sessions(platform).find_one({"$or": [{"_id": chat_id}, {"chat_id": chat_id}]})
    assert found is not None
    return list(found["messages"])


def contents(platform: PlatformServer, layout: str, session_id: str) -> list[Any]:
    [reader] = platform.services.stores.session_readers(layout)
    return [each.content for each in reader.messages(session_id, MessageSelection())]


def greeted(client: Client) -> list[dict[str, Any]]:
    """The frames up to the boundary."""
    return client.until("chat.resume_boundary")


def texts_of(frames: list[dict[str, Any]]) -> list[Any]:
    """The turns among the frames."""
    return [each["data"]["content"] for each in frames if each["type"] == "chat.text"]


def general_id(client: Client) -> str:
    client.send("chat.enter_general_mode")
    return str(client.data("chat.mode_changed")["general_chat_id"])


# --- connecting ---


def test_a_client_gets_the_facts_of_its_session_then_its_turns_then_the_boundary(platform: PlatformServer, tenant: str):
    path = platform.start_chat(tenant)
    chat_id = path.split("/")[4]
    with platform.client(path) as client:
        meta, boundary = greeted(client)
        assert meta["type"] == "chat_meta"
        datetime.fromisoformat(meta["timestamp"])
        created_at = meta["data"].pop("created_at")
        datetime.fromisoformat(created_at)
        assert meta["data"] == {
            "kind": "chat_meta", "chat_id": chat_id, "workflow_name": "flow", "app_id": tenant, "user_id": "ana",
            "has_children": False, "cache_seed": cache_seed(tenant, chat_id), "chat_exists": True,
            "last_artifact": None, "status": 0, "last_sequence": 0,
        }  # fmt: skip
        assert set(BOUNDARY_KEYS) <= set(boundary["data"])
        client.say("hello", chat_id=chat_id)
    with platform.client(path) as client:
        meta, first, second, boundary = greeted(client)
        assert meta["data"]["last_sequence"] == 2
        assert set(FRAME_KEYS) <= set(first["data"])
        shown = {name: first["data"][name] for name in ("index", "content", "role", "agent", "sender", "replay")}
        assert shown == {
            "index": 0, "content": "hello", "role": "user", "agent": "user", "sender": "user", "replay": True,
        }  # fmt: skip
        assert (second["data"]["index"], second["data"]["content"]) == (1, "re: hello")
        assert second["data"]["agent"] == "assistant"
        facts = {name: boundary["data"][name] for name in ("chat_id", "message_count", "replayed_messages")}
        assert facts == {"chat_id": chat_id, "message_count": 2, "replayed_messages": 2}
        assert (boundary["data"]["last_message_index"], boundary["data"]["resume_mode"]) == (1, "auto")


def test_the_session_asked_for_wins_and_otherwise_the_newest_running_one(platform: PlatformServer, tenant: str):
    older, newer = platform.start_chat(tenant), platform.start_chat(tenant)
    with platform.client(older) as client:
        assert client.next()["data"]["chat_id"] == older.split("/")[4]
    with platform.client(f"/ws/flow/{tenant}/missing/ana") as client:
        assert client.next()["data"]["chat_id"] == newer.split("/")[4]
    for path in (f"/ws/flow/{tenant}/missing/bob", older.replace("/ana", "/bob")):
        with platform.client(path) as client:
            assert client.end() == 1008
            assert client.connection.protocol.close_reason == "Chat not found"


def test_a_session_without_a_user_can_be_opened(platform: PlatformServer, tenant: str):
    path = platform.start_chat(tenant)
    sessions(platform).update_one({"chat_id": path.split("/")[4]}, {"$unset": {"user_id": ""}})
    with platform.client(path) as client:
        assert greeted(client)[-1]["data"]["chat_id"] == path.split("/")[4]


# --- input ---


def test_input_is_acknowledged_answered_and_stored_as_the_platform_stores_it(platform: PlatformServer, tenant: str):
    path = platform.start_chat(tenant)
    chat_id = path.split("/")[4]
    with platform.client(path) as client:
        greeted(client)
        client.send("user.input.submit", data={"chat_id": chat_id, "text": " hi ", "input_request_id": "r1"})
        frames = client.until("chat.run_complete")
    kinds = [each["type"] for each in frames]
    assert sorted(kinds) == sorted(["chat.input_ack", "ack.input", "chat.text", "chat.text", "chat.run_complete"])
    by_kind = {each["type"]: each["data"] for each in frames}
    assert by_kind["chat.input_ack"] == {"chat_id": chat_id, "status": "accepted"}
    assert by_kind["ack.input"] == {"input_request_id": "r1", "status": "accepted"}
    turns = [each["data"] for each in frames if each["type"] == "chat.text"]
    assert [each["content"] for each in turns] == [" hi ", "re:  hi "]
    assert not any(each["replay"] for each in turns)
    user, assistant = stored_rows(platform, path)
    for row, expected in (
        (user, {"role": "user", "sender": "user", "content": " hi ", "sequence": 1, "source": "ws"}),
        (assistant, {"role": "assistant", "sender": "assistant", "content": "re:  hi ", "sequence": 2}),
    ):
        assert {name: row.get(name) for name in expected} == expected
        assert isinstance(row["timestamp"], datetime)
        assert row["event_type"]
    assert assistant.get("source") != "ws"


def test_a_repeated_message_is_recorded_and_answered_once(platform: PlatformServer, tenant: str):
    path = platform.start_chat(tenant)
    chat_id = path.split("/")[4]
    asked = len(platform.responder.asked)
    with platform.client(path) as client, platform.client(path) as other:
        greeted(client), greeted(other)
        for each in (client, client, other):
            each.send("user.input.submit", chat_id=chat_id, text="once", request_id="r1")
        client.text("re: once")
        client.say("again", request_id="r2")
        for each in (client, other):
            each.send("user.input.submit", chat_id=chat_id, text="once", request_id="r1")
            each.until("ack.input")
        client.say("last", request_id="")
        client.say("last", request_id="")
    texts = [each.text for each in platform.responder.asked[asked:]]
    assert texts == ["once", "again", "last", "last"]
    assert [row["content"] for row in stored_rows(platform, path)] == [
        "once", "re: once", "again", "re: again", "last", "re: last", "last", "re: last",
    ]  # fmt: skip


def test_a_message_that_was_not_answered_is_answered_if_it_is_sent_again(platform: PlatformServer, tenant: str):
    path = platform.start_chat(tenant)
    with platform.client(path) as client:
        greeted(client)
        client.send("user.input.submit", text="raise", request_id="r1")
        assert client.data("chat.error")["error_code"] == "USER_MESSAGE_FAILED"
        asked = len(platform.responder.asked)
        client.send("user.input.submit", text="raise", request_id="r1")
        assert client.data("chat.error")["error_code"] == "USER_MESSAGE_FAILED"
    assert len(platform.responder.asked) == asked + 1
    assert [row["content"] for row in stored_rows(platform, path)] == ["raise"]


def test_messages_are_answered_in_order_each_with_what_was_said_before_it(platform: PlatformServer, tenant: str):
    path = platform.start_chat(tenant)
    platform.responder.released.clear()
    asked = len(platform.responder.asked)
    with platform.client(path) as client:
        greeted(client)
        for text in ("wait", "second", "third"):
            client.send("user.input.submit", text=text)
        client.text("third")
        platform.responder.released.set()
        client.text("re: third")
    histories = [[each.content for each in question.history] for question in platform.responder.asked[asked:]]
    assert histories == [
        ["wait"],
        ["wait", "re: wait", "second"],
        ["wait", "second", "re: wait", "re: second", "third"],  # as they are stored
    ]


@pytest.mark.parametrize("text", ["hang", "raise", "nothing"])
@pytest.mark.parametrize("general", [False, True])
def test_a_responder_that_does_not_answer_is_an_error_and_the_socket_goes_on(
    platform: PlatformServer, tenant: str, text: str, general: bool, monkeypatch: pytest.MonkeyPatch
):
    path = platform.start_chat(tenant)
    with platform.client(path) as client:
        greeted(client)
        if general:
            general_id(client)
        with monkeypatch.context() as hasty:
            if text == "hang":
                settings = platform.services.settings
                of_server = replace(settings.chatstore.server, responder_seconds=0.1)
                chatstore = replace(settings.chatstore, server=of_server)
                hasty.setattr(platform.services, "settings", replace(settings, chatstore=chatstore))
            client.send("user.input.submit", text=text)
            error = client.data("chat.error")
        assert error["error_code"] == ("GENERAL_MODE_FAILED" if general else "USER_MESSAGE_FAILED")
        assert "secret" not in error["message"]
        client.say("next")


def test_an_event_that_is_not_json_does_not_end_the_socket(platform: PlatformServer, tenant: str):
    with platform.client(platform.start_chat(tenant)) as client:
        greeted(client)
        client.send("user.input.submit", text="unusable")
        client.say("next")


def test_every_socket_of_a_session_gets_its_turns_usage_and_events_once_in_order(platform: PlatformServer, tenant: str):
    path = platform.start_chat(tenant)
    with platform.client(path) as first, platform.client(path) as second:
        greeted(first), greeted(second)
        first.send("user.input.submit", text="usage")
        for client in (first, second):
            frames = client.until("chat.run_complete")
            kinds = [each["type"] for each in frames if each["type"].startswith("chat.") and "ack" not in each["type"]]
            assert kinds[-1] == "chat.run_complete"
            assert sorted(kinds[:-1]) == ["chat.text", "chat.text", "chat.usage_delta", "chat.usage_summary"]
            [used] = [each["data"] for each in frames if each["type"] == "chat.usage_delta"]
            assert (used["prompt_tokens"], used["completion_tokens"], used["model"]) == (7, 3, "model-1")
        second.send("user.input.submit", text="tool")
        for client in (first, second):
            frames = client.text("re: tool")
            if not any(each["type"] == "chat.tool_call" for each in frames):  # events may also come after the turns
                frames += client.until("chat.tool_call")
            called = [each["data"]["tool_name"] for each in frames if each["type"] == "chat.tool_call"]
            assert called == ["search"]


def test_empty_and_unknown_input_is_rejected(platform: PlatformServer, tenant: str):
    with platform.client(platform.start_chat(tenant)) as client:
        greeted(client)
        client.send("user.input.submit", text=" ", request_id="r1")
        assert client.data("ack.input") == {"input_request_id": "r1", "status": "rejected"}
        assert client.data("chat.error")["error_code"] == "USER_MESSAGE_FAILED"
        client.send("user.input.submit", text="x", chat_id="missing", request_id="r2")
        assert client.data("ack.input")["status"] == "rejected"
        assert client.data("chat.error")["error_code"] == "USER_MESSAGE_FAILED"
        general_id(client)
        client.send("user.input.submit", text="")
        assert client.data("chat.error")["error_code"] == "GENERAL_MODE_EMPTY_MESSAGE"
        client.send("ui_tool_response", eventId="e1", response={"a": 1})
        assert client.data("ack.ui_tool_response") == {"eventId": "e1", "status": "rejected"}


# --- general mode and workflows ---


def test_general_turns_are_stored_replayed_and_shown_to_every_socket_once(platform: PlatformServer, tenant: str):
    path = platform.start_chat(tenant)
    chat_id = path.split("/")[4]
    with platform.client(path) as client, platform.client(path) as other:
        greeted(client), greeted(other)
        client.send("chat.enter_general_mode")
        changed = client.data("chat.mode_changed")
        general = changed["general_chat_id"]
        assert changed == {
            "mode": "general", "general_chat_id": general, "general_chat_label": "General Chat #1",
            "general_chat_sequence": 1, "message": "Ask me anything! Workflows paused.",
        }  # fmt: skip
        client.say("one", ui_context={"page": "home"}, request_id="g1")
        other.text("re: one")  # another socket learns of the new general chat by the database's report
        client.send("user.input.submit", text="one", request_id="g1")
        client.until("ack.input")
        client.say("two", chat_id=general)
    with platform.client(path) as client:
        replayed = texts_of(greeted(client))
        assert replayed == ["one", "re: one", "two", "re: two"]
        assert general_id(client) == general  # no further general chat after a reconnect
        client.send("chat.start_general_chat")
        created = client.data("chat.general_session_created")
        assert created["general_chat_label"] == "General Chat #2"
        assert set(created) == {"general_chat_id", "general_chat_label", "general_chat_sequence"}
        client.say("newer")
        client.say("older", chat_id=general)
    assert contents(platform, "general", created["general_chat_id"]) == ["newer", "re: newer"]
    transcript = platform.services.general.fetch_general_chat_transcript(general_chat_id=general, app_id=tenant)
    assert transcript is not None
    row, answer = transcript["messages"][:2]
    assert (row["role"], row["agent_name"], row["event_type"]) == ("user", "user", "general_agent.message")
    assert (answer["role"], answer["agent_name"], answer["sequence"]) == ("assistant", "assistant", 2)
    assert row["event_id"].startswith("general_")
    metadata = row["metadata"]
    assert metadata["source"] == "general_agent"
    assert metadata["ui_context"] == {"page": "home"}
    assert [each["chat_id"] for each in metadata["workflows"]] == [chat_id]
    assert list(metadata["workflows"][0]) == [
        "chat_id", "workflow_name", "app_id", "user_id", "artifact_id", "status", "created_at", "last_active",
    ]  # fmt: skip
    assert (metadata["general_chat_id"], metadata["general_chat_label"]) == (general, "General Chat #1")
    assert metadata["user_id"] == "ana"


def test_a_client_starts_workflows_and_switches_between_them(platform: PlatformServer, tenant: str):
    path = platform.start_chat(tenant)
    first = path.split("/")[4]
    with platform.client(path) as client:
        greeted(client)
        client.send("chat.start_workflow", workflow_name="other", message="begin", frontend_context={"tab": 2})
        started = client.data("chat.workflow_started")
        second = started["chat_id"]
        assert started == {"chat_id": second, "workflow_name": "other", "app_id": tenant, "user_id": "ana"}
        client.text("re: begin")
        assert platform.responder.asked[-1].context == {"tab": 2}
        client.send("chat.switch_workflow", chat_id=first)
        assert client.data("chat.context_switched") == {
            "from_chat_id": second, "to_chat_id": first, "workflow_name": "flow", "artifact_id": None, "app_id": tenant,
        }  # fmt: skip
        client.say("to the first")
        client.send("chat.switch_workflow", chat_id="missing")
        assert client.data("chat.error")["error_code"] == "SWITCH_WORKFLOW_FAILED"
        client.say("still to the first")
        runs = [{"workflow_name": "a", "prompt": "go", "label": "A"}, {"workflow_name": "b"}]
        client.send("chat.start_workflow_batch", runs=runs, auto_run=False)
        batch = client.data("chat.workflow_batch_started")
        assert (batch["count"], batch["blocked"]) == (2, [])
        assert [each.get("label") for each in batch["workflows"]] == ["A", None]
        assert contents(platform, "workflow", batch["workflows"][0]["chat_id"]) == ["go"]
    assert contents(platform, "workflow", first)[0::2] == ["to the first", "still to the first"]


def test_the_session_key_separates_client_sessions_of_a_user(platform: PlatformServer, tenant: str):
    path = platform.start_chat(tenant)
    with (
        platform.client(path) as client,
        platform.client(path) as same,
        platform.client(f"{path}?session_key=tab-2") as separate,
    ):
        for each in (client, same, separate):
            greeted(each)
        general = general_id(client)
        assert same.say("shared mode")
        assert contents(platform, "general", general) == ["shared mode", "re: shared mode"]
        separate.say("still in the workflow")
        assert contents(platform, "workflow", path.split("/")[4])[0] == "still in the workflow"


# --- resuming ---


def test_a_client_resumes_by_index_or_sequence(platform: PlatformServer, tenant: str):
    path = platform.start_chat(tenant)
    chat_id = path.split("/")[4]
    with platform.client(path) as client:
        greeted(client)
        client.say("one"), client.say("two")
    with platform.client(path) as client:
        greeted(client)
        for position, missing in (
            ({"lastClientIndex": 2}, ["re: two"]),
            ({"lastSequence": 1}, ["re: one", "two", "re: two"]),
            ({"lastClientIndex": -1}, ["one", "re: one", "two", "re: two"]),
            ({"lastClientIndex": 3}, []),
        ):
            client.send("client.resume", chat_id=chat_id, **position)
            frames = client.until("chat.resume_boundary")
            boundary = frames[-1]
            assert texts_of(frames) == missing
            assert boundary["data"]["resume_mode"] == "client"
        for wrong in ({"chat_id": chat_id, "lastClientIndex": 99}, {"chat_id": "missing", "lastClientIndex": 0}):
            client.send("client.resume", **wrong)
            assert client.data("chat.error")["error_code"] == "RESUME_FAILED"
        client.send("chat.start_workflow", workflow_name="other", message="x")
        other = client.data("chat.workflow_started")["chat_id"]
        client.text("re: x")
    with platform.client(path) as client:
        greeted(client)
        client.send("client.resume", chat_id=other, lastClientIndex=0)  # the client knows it from before
        assert texts_of(client.until("chat.resume_boundary")) == ["re: x"]
        client.say("live", chat_id=other)


def test_a_deleted_session_does_not_stop_the_live_turns_of_the_others(platform: PlatformServer, tenant: str):
    path = platform.start_chat(tenant)
    with platform.client(path) as client:
        greeted(client)
        client.send("chat.start_workflow", workflow_name="other")
        other = client.data("chat.workflow_started")["chat_id"]
        sessions(platform).delete_one({"chat_id": other})
        client.send("user.input.submit", chat_id=path.split("/")[4], text="on")
        frames = client.text("re: on")
        if not any(each["type"] == "chat.error" for each in frames):  # the error may also come after the turns
            frames = client.until("chat.error")
        [error] = [each["data"] for each in frames if each["type"] == "chat.error"]
        assert error["error_code"] == "RESUME_FAILED"
        client.say("still on", chat_id=path.split("/")[4])


# --- bad frames ---


@pytest.mark.parametrize(
    "frame",
    [
        "no json", "", "[1]", "null", "NaN", '"text"', "{}", b"\x00\xff", '{"type": 5}', '{"type": "chat.unknown"}',
        '{"type": "user.input.submit"}', '{"type": "user.input.submit", "text": {"$ne": 1}}',
        '{"type": "client.resume", "chat_id": "x", "lastClientIndex": -2}', '{"type": "artifact_action"}',
        '{"type": "chat.start_workflow_batch", "runs": []}',
        "[" * 100_000, '{"a":' * 100_000,
    ],
)  # fmt: skip
def test_a_frame_that_no_client_may_send_is_an_error(platform: PlatformServer, frames_client: Client, frame: Any):
    frames_client.connection.send(frame)
    assert frames_client.next()["data"]["error_code"] == "SCHEMA_VALIDATION_FAILED"


@pytest.fixture(scope="module")
def frames_client(platform: PlatformServer) -> Iterator[Client]:
    with platform.client(platform.start_chat("frames")) as client:
        greeted(client)
        yield client


def test_hostile_values_in_a_frame_are_stored_or_refused_and_the_socket_goes_on(platform: PlatformServer, tenant: str):
    path = platform.start_chat(tenant)
    with platform.client(path) as client:
        greeted(client)
        general_id(client)
        deep: Any = 1
        for _ in range(300):
            deep = {"$a.b": deep}
        for fields in (
            {"context": deep},
            {"context": {"\0": "\0", "$set": {"a": 1}}},
            {"request_id": "r\0" * 10_000},
            {"chat_id": "/\0" * 5_000},
            {"text": "\ud800"},
        ):
            client.send("user.input.submit", **{"text": "x", **fields})
            kinds = {each["type"] for each in client.until("chat.text", lambda data: data["role"] == "assistant")}
            assert "chat.error" not in kinds
        for kind, fields in (
            ("chat.switch_workflow", {"chat_id": "\0" * 10_000}),
            ("chat.start_workflow", {"workflow_name": "w" * 10_000}),
            ("client.resume", {"chat_id": "/\0", "lastSequence": 2**62}),
        ):
            client.send(kind, **fields)
            assert client.data("chat.error")["message"]
        client.say("goes on")


def test_a_frame_of_more_than_a_megabyte_closes_the_socket(platform: PlatformServer, tenant: str):
    with platform.client(platform.start_chat(tenant)) as client:
        greeted(client)
        client.connection.send(json.dumps({"type": "user.input.submit", "text": "x" * 900_000}))
        client.until("chat.run_complete")
        with pytest.raises(ConnectionClosed):
            client.connection.send("x" * 1_000_001)
            while True:
                client.next()
        assert client.end() == 1009


def test_turns_that_could_not_be_read_are_sent_without_a_further_change(
    platform: PlatformServer, tenant: str, monkeypatch: pytest.MonkeyPatch
):
    path, readable, failures = platform.start_chat(tenant), threading.Event(), []
    catch_up = PlatformReplay.catch_up

    async def fails(replay: PlatformReplay) -> None:
        if not readable.is_set():
            failures.append(replay)
            raise Overdue(what="No answer (database).", hint="")
        await catch_up(replay)

    def stored() -> int:
        found = platform.services.stores.connection.database["chat_sessions"].find_one({"chat_id": path.split("/")[4]})
        return len((found or {}).get("messages", []))

    monkeypatch.setattr(platform_module, "_RETRY_SECONDS", 0.05)
    with platform.client(path) as client:
        client.until("chat.resume_boundary")
        monkeypatch.setattr(PlatformReplay, "catch_up", fails)
        client.send("user.input.submit", text="hello")
        poll(lambda: stored() == 2, what="the answer in the database")
        seen = len(failures)
        poll(lambda: len(failures) > seen + 3, what="attempts without a change")
        readable.set()
        client.text("re: hello")
