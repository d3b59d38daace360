"""The converters of AG2's model clients, and OpenAI's own types, accept histories as other programs leave them.

`chatstore resume` hands a history to AG2, which converts it for the model of each agent: the real converters run here.
"""

from __future__ import annotations

import base64
import importlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pytest

from chatstore_cli.domain.message import Message
from chatstore_cli.domain.workflow.repairs import Repair, Repairs
from chatstore_cli.mongo.session_documents.documents import to_message
from chatstore_cli.mongo.threads.sessions import to_message as thread_message
from chatstore_cli.transcripts.registry import TRANSCRIPTS
from tests.support.peers import import_peer

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(60_000)).decode()
URI = f"data:image/png;base64,{PNG}"
LONG_ID = "toolu_" + "x" * 60
Row = dict[str, Any]


def call(call_id: Any, arguments: Any = "{}", name: str = "look_up", **more: Any) -> Row:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}, **more}


def calling(*calls: Row, **more: Any) -> Row:
    return {"role": "assistant", "sender": "Writer", "content": None, "tool_calls": list(calls), **more}


def result(call_id: Any, content: Any = "found", **more: Any) -> Row:
    return {"role": "tool", "name": "look_up", "content": content, "tool_call_id": call_id, **more}


USER = {"role": "user", "sender": "user", "content": "Where is order 7?"}
DONE = {"role": "assistant", "sender": "Writer", "content": "It is on its way."}

HISTORIES: dict[str, list[Row]] = {
    "plain": [USER, calling(call("c1")), result("c1"), DONE],
    "arguments": [
        USER,
        calling(*(call(f"c{n}", bad) for n, bad in enumerate(["", "{", "[1]", "7", '{"a": NaN}', None, {"a": 1}]))),
        *(result(f"c{n}") for n in range(7)),
        DONE,
    ],
    "long ids": [USER, calling(call(LONG_ID), call(LONG_ID + "y")), result(LONG_ID + "y", "2"), result(LONG_ID, "1"), DONE],
    "one id twice": [USER, calling(call("c1"), call("c1")), result("c1", "1"), result("c1", "2"), DONE],
    "ids of later calls": [USER, calling(call(None)), result(None), calling(call("call_1")), result("call_1"), DONE],
    "numbers as ids": [USER, calling(call(7), call(8.0)), result(7), result(8), DONE],
    "names of tools": [
        USER,
        calling(call("c1", name="shop.find"), call("c2", name="shop find"), call("c3", name="x" * 100)),
        result("c1", name="shop.find"),
        result("c2", name="shop find"),
        result("c3", name="x" * 100),
        DONE,
    ],
    "orphans": [USER, result("gone"), calling(call("c1")), DONE, result("c1"), DONE],
    "responses": [USER, calling(call("c1"), call("c2")), result(None, "a", tool_responses=[
        {"tool_call_id": "c1", "content": "1"}, {"tool_call_id": "c2", "content": [{"type": "image", "source": {
            "type": "base64", "media_type": "image/png", "data": PNG}}]}]), DONE],
    "former calls": [
        USER,
        {"role": "assistant", "sender": "Writer", "content": "", "function_call": {"name": "look_up", "arguments": ""}},
        {"role": "function", "name": "look_up", "content": "found"},
        DONE,
    ],
    "anthropic": [
        USER,
        {"role": "assistant", "sender": "Writer", "content": [
            {"type": "thinking", "thinking": "Let me think.", "signature": "abc"},
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {"order": 7}},
        ]},
        {"role": "user", "sender": "user", "content": [
            {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "found"}]},
            {"type": "text", "text": "And?"},
        ]},
        DONE,
    ],
    "gemini": [
        {"role": "user", "parts": [{"text": "Where is it?"}, {"inline_data": {"mime_type": "image/png", "data": PNG}}]},
        {"role": "model", "sender": "Writer", "parts": [
            {"text": "Hm.", "thought": True},
            {"functionCall": {"name": "look_up", "args": {"order": 7}}, "thoughtSignature": "c2ln"},
        ]},
        {"role": "user", "parts": [{"functionResponse": {"name": "look_up", "response": {"result": "found"}}}]},
        {"role": "model", "sender": "Writer", "parts": [{"text": "On its way."}]},
    ],
    "pictures": [
        {"role": "user", "sender": "user", "content": [
            {"type": "text", "text": "Look:"},
            {"type": "image_url", "image_url": {"url": URI, "detail": "low"}},
            {"type": "input_image", "image_url": URI},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            {"image_url": URI},
        ]},
        {"role": "assistant", "sender": "Writer", "content": [{"type": "image_url", "image_url": {"url": URI}}]},
        calling(call("c1")),
        result("c1", [{"type": "text", "text": "a map"}, {"type": "image_url", "image_url": {"url": URI}}]),
        {"role": "user", "sender": "user", "content": URI},
        {"role": "user", "sender": "user", "content": [{"type": "file", "file": {"filename": "a.pdf"}}]},
        {"role": "user", "sender": "user", "content": [{"type": "odd", "blob": PNG}]},
        DONE,
    ],
    "thinking": [USER, {**DONE, "reasoning_content": "Let me think."}, calling(call("c1", extra_content={"google": {}})),
                 calling(call("c2", extra_content={"google": {"thought_signature": "c2ln"}})), result("c2"), DONE],
    "refusal": [USER, {"role": "assistant", "sender": "Writer", "content": None, "refusal": "I cannot."},
                {"role": "assistant", "sender": "Writer", "content": [{"type": "refusal", "refusal": "No."}]}],
}  # fmt: skip


def in_thread(role: str, content: Any, metadata: Row | None = None) -> Row:
    """A message of a thread. Its content is a text, or an object of the application's own."""
    fields = {"type": "text", "text": content} if isinstance(content, str) else content
    sender = "Writer" if role in ("assistant", "system", "moderator") else None
    return {
        "sender_role": role,
        "sender_id": sender,
        "content": {**fields, **({} if metadata is None else {"metadata": metadata})},
    }


PICTURE = {"type": "image_url", "image_url": {"url": URI, "detail": "low"}}
THREADS: dict[str, list[Row]] = {
    "thread with tools": [
        in_thread("user", "Where is order 7?"),
        in_thread("assistant", "I look.", {"model": "m"}),
        in_thread("tool", "found", {"tool_name": "look_up"}),
        in_thread("tool", {"order": 7}, {"tool_name": "look up!"}),
        in_thread("assistant", "", {"tool_calls": [call("c1")]}),
        in_thread("tool", "found again", {"tool_name": "look_up", "tool_call_id": "c1"}),
        in_thread("assistant", "It is on its way."),
    ],
    "thread with other content": [
        in_thread("system", "Be brief."),
        in_thread("user", PICTURE),
        in_thread("user", {"type": "parts", "content": [{"type": "text", "text": "Look:"}, PICTURE]}),
        in_thread("user", {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}),
        in_thread("assistant", PICTURE),
        in_thread("moderator", {"answer": 42}),
        in_thread("user", {"type": "text", "text": "with more", "attachments": [1]}),
        in_thread("user", {}),
        {"sender_role": "assistant", "sender_id": "Writer", "content": "a text alone"},
        in_thread("assistant", {"type": "tool_use", "id": "t1", "name": "look_up", "input": {"order": 7}}),
        in_thread("tool", {"type": "tool_result", "tool_use_id": "t1", "content": "found"}),
        in_thread("assistant", "It is on its way."),
    ],
}
HISTORIES |= THREADS


def messages_of(history: str) -> list[Message]:
    read = thread_message if history in THREADS else to_message
    return [read("s", stored) for stored in HISTORIES[history]]


def written(history: str, transcript: str, repairs: Repairs | None = None) -> list[Row]:
    counted = Repairs() if repairs is None else repairs
    rows: list[Row] = json.loads(b"".join(TRANSCRIPTS[transcript](messages_of(history), counted)))
    return rows


def one_result_each(rows: Iterable[Row]) -> Iterator[Row]:
    """AG2's agents separate the results of several calls before they call a model."""
    for row in rows:
        yield from row["tool_responses"] if row.get("tool_responses") else [row]


# --- what no list of types checks ------------------------------------------------------------------------------------


def check_rules(rows: list[Row]) -> None:
    """Ids and names as all APIs accept them, arguments that are objects, and each call answered directly after it."""
    seen: set[str] = set()
    still_open: list[str] = []
    for row in rows:
        if row["role"] == "tool":
            still_open.remove(row["tool_call_id"])
            continue
        assert still_open == []
        for each in row.get("tool_calls", []):
            assert re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", each["id"]) and each["id"] not in seen
            assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", each["function"]["name"])
            assert isinstance(json.loads(each["function"]["arguments"], parse_constant=pytest.fail), dict)
            seen.add(each["id"])
            still_open.append(each["id"])
    assert still_open == []


def spoken(value: Any) -> Iterator[str]:
    """Every text that a model would read as words."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if key not in ("url", "tool_calls"):
                yield from spoken(item)
    elif isinstance(value, list):
        for item in value:
            yield from spoken(item)


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("transcript", ["ag2", "openai"])
def test_a_history_obeys_the_rules_of_every_api(history: str, transcript: str) -> None:
    rows = written(history, transcript)
    check_rules(list(one_result_each(rows)))
    assert all(len(text) < 300 for text in spoken(rows))
    assert not any('"type"' in text or "thoughtSignature" in text for text in spoken(rows) if "[data" not in text)


@pytest.mark.parametrize("history", HISTORIES)
def test_openai_types_accept_it(history: str) -> None:
    from pydantic import TypeAdapter

    import_peer("openai")
    types = importlib.import_module("openai.types.chat")
    rows = written(history, "openai")
    TypeAdapter(list[types.ChatCompletionMessageParam]).validate_python(rows, strict=True)


@pytest.mark.parametrize("history", HISTORIES)
def test_a_group_chat_of_the_agents_resumes(history: str) -> None:
    """Only the user and the writer are agents: a tool whose name is taken for a speaker would raise."""
    autogen = import_peer("autogen")
    agents = [autogen.ConversableAgent(name, llm_config=False, human_input_mode="NEVER") for name in ("user", "Writer")]
    chat = autogen.GroupChat(agents=agents, messages=[], max_round=20)
    manager = autogen.GroupChatManager(groupchat=chat, llm_config=False)
    rows = written(history, "ag2")
    manager.resume(messages=rows, silent=True)
    assert len(manager.groupchat.messages) == len(rows) - 1


# --- AG2's converters ------------------------------------------------------------------------------------------------


def converter(client: str, package: str) -> Any:
    """One of AG2's clients. Its package is in an extra that only CI installs, where no test may skip for this reason."""
    pytest.importorskip(package, reason=f"{package} cannot be imported (extra [converters])")
    return import_peer(f"autogen.oai.{client}")


def to_anthropic(rows: list[Row]) -> Any:
    client = converter("anthropic", "anthropic")
    tools = [{"type": "function", "function": {"name": "look_up", "description": "", "parameters": {}}}]
    return client.oai_messages_to_anthropic_messages({"messages": rows, "tools": tools})


def to_bedrock(rows: list[Row]) -> Any:
    return converter("bedrock", "boto3").oai_messages_to_bedrock_messages(rows, True, True)


def to_gemini(rows: list[Row]) -> Any:
    client = converter("gemini", "google.genai").GeminiClient(api_key="none")
    return client._oai_messages_to_gemini_messages(rows)


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("convert", [to_anthropic, to_bedrock, to_gemini])
def test_the_converters_of_ag2_accept_it(convert: Callable[[list[Row]], Any], history: str) -> None:
    assert convert(list(one_result_each(written(history, "ag2"))))


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ("arguments", {Repair.ARGUMENTS_CHANGED: 5, Repair.TOOL_AS_SPEAKER: 7}),
        ("long ids", {Repair.CALL_ID_CHANGED: 2}),
        ("one id twice", {Repair.CALL_ID_CHANGED: 1}),
        ("names of tools", {Repair.TOOL_NAME_CHANGED: 3}),
        ("anthropic", {Repair.THINKING_LEFT_OUT: 1}),
        ("gemini", {Repair.THINKING_LEFT_OUT: 2}),
        ("thinking", {Repair.THINKING_LEFT_OUT: 3}),
        ("pictures", {Repair.MEDIA_REPLACED: 3}),
    ],
)
def test_each_change_is_counted(history: str, expected: dict[Repair, int]) -> None:
    repairs = Repairs()
    written(history, "ag2", repairs)
    assert {repair: repairs[repair] for repair in expected} == expected


def test_a_thread_keeps_its_pictures_and_names_its_tools() -> None:
    for transcript in ("ag2", "openai"):
        rows = written("thread with other content", transcript)
        parts = [row["content"] for row in rows if isinstance(row["content"], list)]
        assert [[part["type"] for part in each] for each in parts] == [
            ["image_url"],
            ["text", "image_url"],
            ["image_url"],
        ]
        assert parts[0][0]["image_url"] == {"url": URI, "detail": "low"}
        rows = written("thread with tools", transcript)
        assert [row["content"] for row in rows[2:4]] == [
            "[tool result look_up] found",
            '[tool result look up!] {"order":7}',
        ]
        assert (rows[2]["role"], rows[2].get("name", "user")) == ("user", "user")
        assert [row["role"] for row in rows[4:]] == ["assistant", "tool", "assistant"]


def test_a_picture_of_a_user_stays_a_picture_with_its_detail() -> None:
    for transcript in ("ag2", "openai"):
        rows = written("pictures", transcript)
        assert [part["type"] for part in rows[0]["content"]] == ["text", *["image_url"] * 4]
        assert rows[0]["content"][1]["image_url"] == {"url": URI, "detail": "low"}
        assert "[image image/png, 59 KiB]" in json.dumps(rows[1]["content"])


def test_each_result_stays_with_its_call() -> None:
    rows = written("long ids", "openai")
    calls = [each["id"] for each in rows[1]["tool_calls"]]
    assert {row["tool_call_id"]: row["content"] for row in rows if row["role"] == "tool"} == {
        calls[0]: "1",
        calls[1]: "2",
    }
    assert [row["content"] for row in written("one id twice", "openai") if row["role"] == "tool"] == ["1", "2"]
    assert [row["content"] for row in written("numbers as ids", "openai") if row["role"] == "tool"] == [
        "found",
        "found",
    ]
