"""Pairs tool calls with their results.

The APIs of models require a result for each call, directly after the message with the call, and no result without its
call. Stored histories break that: they are cut (`--last`), interrupted, or written by several agents at a time.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from chatstore_cli.domain.content import content_text, json_safe, json_text
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.workflow.allowed_names import AllowedNames, CallIds
from chatstore_cli.domain.workflow.provider_parts import id_as_text
from chatstore_cli.domain.workflow.repairs import Repair, Repairs

MAX_LOOK_AHEAD = 100
"""The number of messages after a call that are searched for its result."""

NO_RESULT = "(no result was stored)"

RAW_ARGUMENTS = "input"
"""The key under which arguments that are not a JSON object are passed on, as they are stored."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call: of a function with a JSON object as arguments, or (`custom`) of a tool that takes plain text.

    `call_id` is the only call of its id in the history. `stored_id` is the id by which stored results refer to it.
    """

    call_id: str
    stored_id: str | None
    name: str
    arguments: str
    custom_input: str | None = None


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
    """The messages in order; one with calls becomes an Exchange, and a result without a call a user message.

    The messages are in one form (provider_parts.py).
    """
    source = _one_result_each(messages)
    waiting: deque[Message] = deque()
    reader = _CallReader(repairs)
    while True:
        message = waiting.popleft() if waiting else next(source, None)
        if message is None:
            return
        calls = reader.calls_of(message)
        if calls:
            results = _results(calls, waiting, source, repairs)
            if not waiting and (following := next(source, None)) is not None:
                waiting.append(following)
            yield Exchange(message, calls, results, is_last=not waiting)
        elif message.role == "tool":
            repairs.count(Repair.RESULT_ORPHANED)
            yield _as_user_message(message)
        else:
            yield message


def tool_name_of(message: Message) -> str | None:
    """The name of the tool that a stored result names, which is the speaker's name then too."""
    tool = message.metadata.get("tool_name")
    return tool if isinstance(tool, str) and tool else None


def _as_user_message(result: Message) -> Message:
    """A result without a call as the user's words, with the id of the call or the name of the tool."""
    tool = tool_name_of(result)
    known = result.tool_call_id or tool
    label = f"[tool result {known}]" if known else "[tool result]"
    return result._replace(
        role="user",
        name=None if result.name == tool else result.name,
        content=f"{label} {content_text(result.content)}",
        tool_calls=None,
        tool_call_id=None,
    )


def called_tools(message: Message) -> set[str]:
    """The stored names of the tools that a message calls."""
    bodies = [_body_of(call) for call in message.tool_calls or () if isinstance(call, dict)]
    return {body["name"] for body in bodies if isinstance(body.get("name"), str)}


def call_ids(message: Message) -> set[str | None]:
    """The stored ids of the calls of a message."""
    calls = message.tool_calls or []
    return {_stored_id(call) for call in calls if isinstance(call, dict)} - {None}


def _results(
    calls: list[ToolCall], waiting: deque[Message], source: Iterator[Message], repairs: Repairs
) -> list[Message | None]:
    """Remove the results of the calls from the messages that follow, and return them."""
    results: list[Message | None] = [None] * len(calls)
    stored_ids = {call.stored_id for call in calls} - {None}
    index = 0
    while None in results and index < MAX_LOOK_AHEAD:
        if index == len(waiting):
            following = next(source, None)
            if following is None:
                break
            waiting.append(following)
        message = waiting[index]
        answered = _answered_call(message, calls, results, is_next=index == 0)
        if answered is not None:
            results[answered] = message
            del waiting[index]
            if index:
                repairs.count(Repair.RESULT_MOVED)
        elif call_ids(message) & stored_ids:
            break  # the same ids are used again: results after this message belong to the later calls
        else:
            index += 1
    return results


def _answered_call(
    message: Message, calls: list[ToolCall], results: list[Message | None], *, is_next: bool
) -> int | None:
    """The index of the call that a message answers. Calls with the same id are answered in their order.

    A result without an id answers the next call that has no result; a call without an id is answered by the next result
    whose id no call has.
    """
    if message.role != "tool" or message.tool_calls:
        return None
    still_open = [index for index, result in enumerate(results) if result is None]
    if message.tool_call_id is None:
        return still_open[0] if is_next else None
    for index in still_open:
        if calls[index].stored_id == message.tool_call_id:
            return index
    without_id = [index for index in still_open if calls[index].stored_id is None]
    is_of_no_call = all(call.stored_id != message.tool_call_id for call in calls)
    return without_id[0] if without_id and is_next and is_of_no_call else None


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
            yield message._replace(
                content=response.get("content"), tool_call_id=id_as_text(response.get("tool_call_id")), metadata={}
            )


def _stored_id(call: dict[str, Any]) -> str | None:
    ids = (id_as_text(call.get(key)) for key in ("id", "call_id", "tool_call_id"))
    return next((call_id for call_id in ids if call_id is not None), None)


def _body_of(call: dict[str, Any]) -> dict[str, Any]:
    inner = call.get("custom") if isinstance(call.get("custom"), dict) else call.get("function")
    return inner if isinstance(inner, dict) else call


class _CallReader:
    """Reads the tool calls of a history, and gives them ids and tool names that every target accepts."""

    def __init__(self, repairs: Repairs) -> None:
        self._repairs = repairs
        self._ids = CallIds()
        self._names = AllowedNames()

    def calls_of(self, message: Message) -> list[ToolCall]:
        """The calls of a message in any of the usual shapes; a missing id is generated."""
        calls = [self._call(stored) for stored in message.tool_calls or []]
        return [call for call in calls if call is not None]

    def _call(self, stored: Any) -> ToolCall | None:
        body = _body_of(stored) if isinstance(stored, dict) else {}
        name = body.get("name")
        if not isinstance(name, str) or not name:
            self._repairs.count(Repair.CALL_UNREADABLE)
            return None
        allowed = self._names.of(name)
        if allowed != name:
            self._repairs.count(Repair.TOOL_NAME_CHANGED)
        stored_id = _stored_id(stored)
        call_id = self._ids.of(stored_id)
        if stored_id is not None and call_id != stored_id:
            self._repairs.count(Repair.CALL_ID_CHANGED)
        arguments: Any = next((body[key] for key in ("arguments", "args", "input") if body.get(key) is not None), None)
        if isinstance(stored.get("custom"), dict):
            text = arguments if isinstance(arguments, str) else json_text(arguments)
            return ToolCall(call_id, stored_id, allowed, json_text({RAW_ARGUMENTS: text}), text)
        text, is_repaired = _object_text(arguments)
        if is_repaired:
            self._repairs.count(Repair.ARGUMENTS_CHANGED)
        return ToolCall(call_id, stored_id, allowed, text)


def _object_text(arguments: Any) -> tuple[str, bool]:
    """The arguments as the text of a JSON object, and whether they were something else."""
    if arguments is None:
        return "{}", False
    if isinstance(arguments, dict):
        safe = json_safe(arguments)
        return json_text(safe), safe != arguments
    if not isinstance(arguments, str):
        return json_text({RAW_ARGUMENTS: arguments}), True
    if not arguments.strip():
        return "{}", True
    try:
        decoded = json.loads(arguments)
        if isinstance(decoded, dict):
            safe = json_safe(decoded)
            return (arguments, False) if safe == decoded else (json_text(safe), True)
    except (ValueError, RecursionError):
        pass
    return json_text({RAW_ARGUMENTS: arguments}), True
