"""The real AG2 and the real `openai` package accept the transcripts of `chatstore resume`."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from bson import json_util

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.demo.sample_chats import RESUMED, sample_chats
from chatstore_cli.core.sessions.resume import open_history
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.layouts.registry import LAYOUTS
from tests.conftest import Chatstore
from tests.support.paths import SAMPLES
from tests.support.peers import import_peer

if TYPE_CHECKING:
    from pymongo.database import Database

START = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def autogen() -> Any:
    """The real AG2."""
    return import_peer("autogen")


@pytest.fixture(scope="module")
def openai_messages() -> Any:
    """A validator of OpenAI's own message types."""
    from pydantic import TypeAdapter

    import_peer("openai")
    types = importlib.import_module("openai.types.chat")
    return TypeAdapter(list[types.ChatCompletionMessageParam])


# --- AG2 -------------------------------------------------------------------------------------------------------------


def agent(autogen: Any, name: str, says: Iterable[Any] = ()) -> Any:
    """An agent without a model: it says one of these lines in each turn, and then nothing."""
    new_agent = autogen.ConversableAgent(name, llm_config=False, human_input_mode="NEVER", default_auto_reply="")
    lines = iter(list(says))

    def reply(*_: Any, **__: Any) -> tuple[bool, Any]:
        line = next(lines, None)
        return (line is not None), line

    new_agent.register_reply([autogen.Agent, None], reply, position=0)
    return new_agent


def runner(autogen: Any, name: str, **functions: Any) -> Any:
    """An agent that runs tools."""
    return autogen.ConversableAgent(
        name, llm_config=False, human_input_mode="NEVER", default_auto_reply="", function_map=functions
    )


def manager_of(autogen: Any, agents: list[Any], rounds: int) -> Any:
    """A group chat in which the agents speak in turn."""
    chat = autogen.GroupChat(agents=agents, messages=[], max_round=rounds, speaker_selection_method="round_robin")
    return autogen.GroupChatManager(groupchat=chat, llm_config=False)


CALL = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": '{"order": 7}'}}


def chatted(autogen: Any) -> list[dict[str, Any]]:
    """The messages that AG2 keeps of a group chat with a tool call."""
    user = agent(autogen, "user", [])
    writer = agent(autogen, "Writer", [{"content": "Let me look.", "tool_calls": [CALL]}, "It is on its way."])
    executor = runner(autogen, "Executor", look_up=lambda order: f"order {order}: sent")
    manager = manager_of(autogen, [user, writer, executor], rounds=5)
    user.initiate_chat(manager, message="Where is order 7?", silent=True)
    messages: list[dict[str, Any]] = manager.groupchat.messages
    return messages


def as_stored(messages: list[dict[str, Any]], chat_id: str) -> dict[str, Any]:
    """A workflow document of AG2's messages, as an application stores them."""
    kept = ("content", "role", "tool_calls", "tool_responses")
    stored = [
        {
            "sender": message["name"],
            **{key: message[key] for key in kept if key in message},
            "timestamp": START + timedelta(seconds=number),
            "event_id": f"event-{number}",
            "sequence": number,
        }
        for number, message in enumerate(messages, 1)
    ]
    return {"chat_id": chat_id, "status": 0, "updated_at": START, "messages": stored}


def resumed(chatstore: Chatstore, chat_id: str, *options: str) -> list[dict[str, Any]]:
    done = chatstore("resume", chat_id, "--as", "ag2", *options)
    assert done.code == 0, done.err
    messages: list[dict[str, Any]] = json.loads(done.out)
    return messages


def test_ag2_gets_the_same_messages_back(
    autogen: Any, chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    original = chatted(autogen)
    assert any("tool_responses" in message for message in original)
    database["chat_sessions"].insert_one(as_stored(original, "c"))
    assert resumed(chatstore, "c") == original


def test_ag2_resumes_and_continues_where_it_stopped(
    autogen: Any, chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    database["chat_sessions"].insert_one(as_stored(chatted(autogen), "c"))
    history = resumed(chatstore, "c")
    user = agent(autogen, "user", ["Thanks."])
    writer = agent(autogen, "Writer", ["You are welcome."])
    manager = manager_of(autogen, [user, writer, runner(autogen, "Executor")], rounds=4)
    last_agent, last_message = manager.resume(messages=history, silent=True)
    assert (last_agent.name, last_message["content"]) == ("Writer", "It is on its way.")
    assert [message["content"] for message in manager.groupchat.messages] == [row["content"] for row in history[:-1]]
    last_agent.initiate_chat(recipient=manager, message=last_message, clear_history=False, silent=True)
    spoken = [(message["name"], message["content"]) for message in manager.groupchat.messages]
    assert spoken[: len(history)] == [(row["name"], row["content"]) for row in history]
    assert ("user", "Thanks.") in spoken[len(history) :]


def test_ag2_makes_the_call_that_a_history_ends_with(
    autogen: Any, chatstore: Chatstore, database: Database[dict[str, Any]]
) -> None:
    original = chatted(autogen)
    open_call = next(number for number, message in enumerate(original) if "tool_calls" in message)
    database["chat_sessions"].insert_one(as_stored(original[: open_call + 1], "c"))
    calls: list[int] = []

    def look_up(order: int) -> str:
        calls.append(order)
        return f"order {order}: sent"

    user, writer = agent(autogen, "user"), agent(autogen, "Writer", ["It is on its way."])
    manager = manager_of(autogen, [user, writer, runner(autogen, "Executor", look_up=look_up)], rounds=2)
    last_agent, last_message = manager.resume(messages=resumed(chatstore, "c"), silent=True)
    last_agent.initiate_chat(recipient=manager, message=last_message, clear_history=False, silent=True)
    assert calls == [7]
    assert manager.groupchat.messages[-1]["tool_responses"][0]["content"] == "order 7: sent"


@pytest.fixture
def every_session(database: Database[dict[str, Any]]) -> list[str]:
    """Sessions of every variant and of every layout."""
    documents = [dict(document) for document in sample_chats(datetime(2026, 5, 1, tzinfo=UTC)).sessions]
    database["chat_sessions"].insert_many(documents)
    ids = [str(document.get("chat_id") or document["_id"]) for document in documents]
    for layout in LAYOUTS:
        sample = json.loads((SAMPLES / f"{layout}.json").read_text())
        for collection, stored in sample["collections"].items():
            database[collection].insert_many([json_util.loads(json.dumps(each)) for each in stored])
        ids += [row["session_id"] for row in sample["sessions"]]
    return ids


def transcript(connection: Connection, session_id: str, name: str, **selection: Any) -> list[dict[str, Any]]:
    """The output of the command, produced in this process because there are many."""
    readers = [layout(connection, Settings()) for layout in LAYOUTS.values()]
    history = open_history(lambda: readers, session_id, MessageSelection(**selection), name)
    messages: list[dict[str, Any]] = json.loads(b"".join(history.pieces()))
    return messages


def test_ag2_accepts_every_session_with_messages(
    autogen: Any, connection: Connection, every_session: list[str]
) -> None:
    for session_id in every_session:
        history = transcript(connection, session_id, "ag2")
        if not history:
            continue
        agents = [agent(autogen, name) for name in dict.fromkeys(row["name"] for row in history)]
        manager = manager_of(autogen, agents, rounds=len(history) + 1)
        last_agent, last_message = manager.resume(messages=history, silent=True)
        assert last_agent.name == history[-1]["name"]
        assert last_message["content"] == history[-1]["content"]
        assert len(manager.groupchat.messages) == len(history) - 1


# --- OpenAI ----------------------------------------------------------------------------------------------------------


def read_completely(value: Any) -> Any:
    """The validated value, with its lazy parts read so that they are validated too."""
    if isinstance(value, Mapping):
        return {key: read_completely(item) for key, item in value.items()}
    if isinstance(value, str) or not isinstance(value, Iterable):
        return value
    return [read_completely(item) for item in value]


def check_answered(messages: list[dict[str, Any]]) -> None:
    """What the API checks beyond types: every call is followed by its answer, and every answer has a call."""
    open_calls: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            open_calls.remove(message["tool_call_id"])
            continue
        assert open_calls == []
        open_calls = [call["id"] for call in message.get("tool_calls", [])]
    assert open_calls == []


def test_openai_types_accept_every_session(
    openai_messages: Any, connection: Connection, every_session: list[str]
) -> None:
    for session_id in every_session:
        messages = transcript(connection, session_id, "openai")
        assert read_completely(openai_messages.validate_python(messages, strict=True)) == messages
        check_answered(messages)


def test_openai_types_accept_a_session_cut_anywhere(
    openai_messages: Any, connection: Connection, every_session: list[str]
) -> None:
    for last in range(1, 20):
        messages = transcript(connection, RESUMED, "openai", last=last, include_general=False)
        assert read_completely(openai_messages.validate_python(messages, strict=True)) == messages
        check_answered(messages)
        assert len(messages) >= min(last, 17)
