"""Pairs tool calls with their results.

The APIs of models require a result for each call, directly after the message with the call, and no result without its
call. Stored histories break that: they are cut (`--last`), interrupted, or written by several agents at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from chatstore_cli.domain.content import content_text, json_text
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.workflow.repairs import Repair, Repairs

MAX_LOOK_AHEAD = 100
"""The number of messages after a call that are searched for its result."""

NO_RESULT = "(no result was stored)"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call: of a function with arguments as JSON text, or (`custom`) of a tool that takes plain text."""

    call_id: str
    name: str
    arguments: str
    custom: bool = False


@dataclass(frozen=True, slots=True)
class Exchange:
    """A message with its calls and their results in the order of the calls; a missing result is None.

    `is_last`: no message follows.
    """

    message: Message
    calls: list[ToolCall]
    results: list[Message | None]
    is_last: bool


def pair_calls_with_results(messages: Iterable[Message], repairs: Repairs) -> Iterator[Message | Exchange]:
    """The messages in order; one with calls becomes an Exchange, and a result without a call a user message."""
    source = _one_result_each(messages)
    waiting: deque[Message] = deque()
    numbers = iter(range(1, 2**63))
    while True:
        message = waiting.popleft() if waiting else next(source, None)
        if message is None:
            return
        calls = _calls(message, numbers, repairs)
        if calls:
            results = _results(calls, waiting, source, repairs)
            if not waiting and (following := next(source, None)) is not None:
                waiting.append(following)
            yield Exchange(message, calls, results, is_last=not waiting)
        elif message.role == "tool":
            repairs.count(Repair.RESULT_ORPHANED)
            label = f"[tool result {message.tool_call_id}]" if message.tool_call_id else "[tool result]"
            yield message._replace(
                role="user", content=f"{label} {content_text(message.content)}", tool_calls=None, tool_call_id=None
            )
        else:
            yield message


def _results(
    calls: list[ToolCall], waiting: deque[Message], source: Iterator[Message], repairs: Repairs
) -> list[Message | None]:
    """Remove the results of the calls from the messages that follow, and return them."""
    results: dict[str, Message] = {}
    index = 0
    while len(results) < len(calls) and index < MAX_LOOK_AHEAD:
        if index == len(waiting):
            following = next(source, None)
            if following is None:
                break
            waiting.append(following)
        message = waiting[index]
        call_id = _answered_call(message, calls, results, is_next=index == 0)
        if call_id is not None:
            results[call_id] = message
            del waiting[index]
            if index:
                repairs.count(Repair.RESULT_MOVED)
        elif _call_ids(message) & {call.call_id for call in calls}:
            break  # the same ids are used again: results after this message belong to the later calls
        else:
            index += 1
    return [results.get(call.call_id) for call in calls]


def _answered_call(
    message: Message, calls: list[ToolCall], results: dict[str, Message], *, is_next: bool
) -> str | None:
    """The id of the call that a message answers. A result without an id answers the next call that has no result."""
    if message.role != "tool" or message.tool_calls:
        return None
    open_ids = [call.call_id for call in calls if call.call_id not in results]
    if message.tool_call_id is None:
        return open_ids[0] if is_next else None
    return message.tool_call_id if message.tool_call_id in open_ids else None


def _one_result_each(messages: Iterable[Message]) -> Iterator[Message]:
    # AG2 puts the results of several calls into one message (`tool_responses`).
    for message in messages:
        responses = message.metadata.get("tool_responses") if message.role == "tool" else None
        complete = (
            [response for response in responses if isinstance(response, dict)] if isinstance(responses, list) else []
        )
        if not complete:
            yield message
        for response in complete:
            call_id = response.get("tool_call_id")
            yield message._replace(
                content=response.get("content"), tool_call_id=call_id if isinstance(call_id, str) else None, metadata={}
            )


def _call_ids(message: Message) -> set[str]:
    calls = message.tool_calls or []
    return {call["id"] for call in calls if isinstance(call, dict) and isinstance(call.get("id"), str)}


def _calls(message: Message, numbers: Iterator[int], repairs: Repairs) -> list[ToolCall]:
    """The calls of a message in any of the usual shapes; a missing id is generated."""
    calls: dict[str, ToolCall] = {}
    for stored in message.tool_calls or []:
        call = _call(stored, numbers)
        if call is None or call.call_id in calls:
            repairs.count(Repair.CALL_UNREADABLE)
        else:
            calls[call.call_id] = call
    return list(calls.values())


def _call(stored: Any, numbers: Iterator[int]) -> ToolCall | None:
    if not isinstance(stored, dict):
        return None
    kind = "custom" if isinstance(stored.get("custom"), dict) else "function"
    inner = stored.get(kind)
    body = inner if isinstance(inner, dict) else stored
    name = body.get("name")
    if not isinstance(name, str) or not name:
        return None
    stored_arguments: Any = next((body[key] for key in ("arguments", "args", "input") if body.get(key) is not None), {})
    arguments = stored_arguments if isinstance(stored_arguments, str) else json_text(stored_arguments)
    call_id = stored.get("id") or stored.get("tool_call_id")
    return ToolCall(
        call_id if isinstance(call_id, str) else f"call_{next(numbers)}", name, arguments, custom=kind == "custom"
    )
