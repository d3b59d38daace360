"""Real AG2 agents without a model: they send given messages, and tests check their events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

QUESTION = "Where are orders 7 and 8?"


def speaker(autogen: Any, name: str, says: Sequence[Any], so_far: list[dict[str, Any]]) -> Any:
    """An agent whose n-th turn in the chat is the n-th of `says`, so it continues after a resumed history.

    `so_far` are the messages of the group chat.
    """
    made = autogen.ConversableAgent(name, llm_config=False, human_input_mode="NEVER", default_auto_reply="")

    def reply(*_: Any, **__: Any) -> tuple[bool, Any]:
        turn = sum(message["name"] == name for message in so_far)
        return True, says[turn] if turn < len(says) else f"{name} has nothing more to say."

    made.register_reply([autogen.Agent, None], reply, position=0)
    return made


def call(number: int) -> dict[str, Any]:
    """A call of the tool `look_up` in the shape of a model's answer."""
    function = {"name": "look_up", "arguments": f'{{"order": {number}}}'}
    return {"id": f"call_{number}", "type": "function", "function": function}


def look_up(order: int) -> str:
    """The tool that agents call."""
    return f"order {order}: sent"


def shop(autogen: Any, rounds: int) -> tuple[Any, Any]:
    """A user and the manager of a group chat: a writer that calls tools, one that runs them, and the user, in turn."""
    so_far: list[dict[str, Any]] = []
    user = speaker(autogen, "user", [QUESTION, "And order 9?", "And order 9?", "Thanks."], so_far)
    writer = speaker(
        autogen,
        "Writer",
        [
            {"content": "Let me look.", "tool_calls": [call(7), call(8)]},
            {"content": None, "tool_calls": [call(9)]},
            "All of them are on their way.",
            "All of them are on their way.",
        ],
        so_far,
    )
    executor = autogen.ConversableAgent(
        "Executor",
        llm_config=False,
        human_input_mode="NEVER",
        default_auto_reply="No tool to run.",
        function_map={"look_up": look_up},
    )
    chat = autogen.GroupChat(
        agents=[user, writer, executor], messages=so_far, max_round=rounds, speaker_selection_method="round_robin"
    )
    return user, autogen.GroupChatManager(groupchat=chat, llm_config=False)


def start_conversation(autogen: Any, rounds: int = 11) -> Iterator[Any]:
    """The events of the whole conversation, as they are emitted."""
    user, manager = shop(autogen, rounds)
    yield from user.run(manager, message=QUESTION).events


def resume_conversation(autogen: Any, history: list[dict[str, Any]], rounds: int = 11) -> Iterator[Any]:
    """The events of the same conversation, resumed from its history, to the same length."""
    _, manager = shop(autogen, rounds - len(history) + 1)
    agent, message = manager.resume(messages=history, silent=True)
    yield from agent.run(manager, message=message, clear_history=False).events


def turns(events: Iterable[Any]) -> list[Any]:
    """The events that are turns of the conversation."""
    return [event for event in events if event.type in {"text", "tool_call", "tool_response"}]
