"""`ag2`: messages that AG2's `GroupChatManager.resume` accepts (autogen/agentchat/groupchat.py of ag2 0.14).

Every message has `role`, `name` and `content`. AG2 takes a message without a name for the manager's, and raises if `role`
or `content` is missing. As in AG2's own results, only two speakers have no name: the user that AG2 adds itself (`_User`)
and the manager, because a resumed chat has no agents of these names. Results of tool calls are in `tool_responses`,
several in one message, as AG2 stores them. Messages of chats that were nested within a turn are not part of the group
chat and are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from chatstore_cli.domain.content import text_of_part
from chatstore_cli.domain.media import media_of
from chatstore_cli.domain.message import ROLES, Message
from chatstore_cli.domain.workflow.content_parts import count_replaced_media, picture_part, plain_text
from chatstore_cli.domain.workflow.provider_parts import in_one_form
from chatstore_cli.domain.workflow.repairs import Repair, Repairs
from chatstore_cli.domain.workflow.tool_calls import (
    NO_RESULT,
    Exchange,
    ToolCall,
    call_ids,
    called_tools,
    pair_calls_with_results,
    tool_name_of,
)

Row = dict[str, Any]

AG2_USER = "_User"
"""The user that AG2 adds to a group chat that begins with only a text."""


def rows(messages: Iterable[Message], repairs: Repairs) -> Iterator[Row]:
    """The messages for AG2. Calls at the end without any result remain open: AG2 executes them when it resumes."""
    speakers = _Speakers(repairs)
    read = _without_tools_as_speakers(in_one_form(_messages_of_group(messages, repairs), repairs), repairs)
    for turn in pair_calls_with_results(read, repairs):
        if isinstance(turn, Message):
            yield _row(turn, speakers, repairs)
        else:
            yield from _exchange_rows(turn, speakers, repairs)


def _row(message: Message, speakers: _Speakers, repairs: Repairs) -> Row:
    role = message.role
    if role not in ROLES:
        repairs.count(Repair.ROLE_UNKNOWN)
        role = "assistant" if message.tool_calls else "user"
    row = {"role": role, "name": speakers.name_of(message, role), "content": _content(message.content, role, repairs)}
    if row["name"] == AG2_USER:
        del row["name"]
    return row


def _exchange_rows(exchange: Exchange, speakers: _Speakers, repairs: Repairs) -> Iterator[Row]:
    message = exchange.message
    called = _row(message if message.role not in ROLES else message._replace(role="assistant"), speakers, repairs)
    yield {**called, "tool_calls": [_call(call) for call in exchange.calls]}
    if exchange.is_last and not any(exchange.results):
        return
    answers: list[tuple[str, Row]] = []
    for call, result in zip(exchange.calls, exchange.results, strict=True):
        text = NO_RESULT
        if result is None:
            repairs.count(Repair.CALL_UNANSWERED)
        else:
            text = plain_text(result.content, repairs)
        name = speakers.runner if result is None else speakers.name_of(result, "tool")
        answers.append((name, {"tool_call_id": call.call_id, "role": "tool", "content": text}))
    for name, group in groupby(answers, key=lambda answer: answer[0]):
        responses = [response for _, response in group]
        content = "\n\n".join(response["content"] for response in responses)
        yield {"role": "tool", "name": name, "content": content, "tool_responses": responses}


def _call(call: ToolCall) -> Row:
    return {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _without_tools_as_speakers(messages: Iterable[Message], repairs: Repairs) -> Iterator[Message]:
    """The messages; a tool result that is named after its tool has no name, because AG2 takes a name for an agent's.

    The name of a result is an agent's if that agent has spoken or AG2 stored the result. Otherwise it is the tool's if
    a tool of this name was called, if the result names that tool, or if the call is missing.
    """
    agents: set[str | None] = set()
    tools: set[str] = set()
    called: set[str | None] = {None}
    for message in messages:
        tools |= called_tools(message)
        called |= call_ids(message)
        if message.role != "tool" or message.name in agents:
            agents.add(message.name)
            yield message
            continue
        is_from_ag2 = "tool_responses" in message.metadata or message.event_type is not None
        is_orphan = message.tool_call_id not in called
        is_tool = message.name in tools or message.name == tool_name_of(message)
        if message.name and (is_tool or (is_orphan and not is_from_ag2)):
            repairs.count(Repair.TOOL_AS_SPEAKER)
            message = message._replace(name=None)
        elif is_from_ag2:
            agents.add(message.name)
        yield message


class _Speakers:
    """Names of speakers. Without a stored name it is the role; for tool results, the last agent that ran tools or the user."""

    def __init__(self, repairs: Repairs) -> None:
        self._repairs = repairs
        self._user = "user"
        self._runner: str | None = None

    @property
    def runner(self) -> str:
        """The agent that runs tools."""
        return self._runner or self._user

    def name_of(self, message: Message, role: str) -> str:
        """The message's name, or a substitute, which is counted as a repair."""
        if not message.name:
            self._repairs.count(Repair.SPEAKER_MISSING)
            return {"tool": self.runner, "user": self._user}.get(role, role)
        if role == "tool":
            self._runner = message.name
        elif role == "user":
            self._user = message.name
        return message.name


def _messages_of_group(messages: Iterable[Message], repairs: Repairs) -> Iterator[Message]:
    """The messages without those of chats nested within a turn of a group chat."""
    source = iter(messages)
    for message in source:
        if _recipient(message) is None:
            yield message
            continue
        rest = [message, *source]
        yield from group_turns(rest, group_managers(rest), repairs)


def group_turns(messages: Iterable[Message], managers: Sequence[str], repairs: Repairs) -> Iterator[Message]:
    """The messages to one of the managers or without a recipient; all messages if there is no manager.

    A manager's own messages get no name: AG2 takes them for those of its present manager, whose name may differ.
    """
    for message in messages:
        if managers and _recipient(message) not in (None, *managers):
            repairs.count(Repair.NESTED)
        elif message.name in managers:
            yield message._replace(name=AG2_USER)
        else:
            yield message


def group_managers(messages: Iterable[Message]) -> list[str]:
    """The names of the group chat's managers, newest last. A chat of two agents has none.

    The recipient of the first turn is a manager if it sends messages only to itself, as AG2 does in its name. A later run
    may have a manager of another name. That name is recognised if the previous one no longer receives messages, and at
    least two speakers, most of whom spoke to the previous one, send messages to it. Other recipients are in nested chats.
    """
    speaking: set[str | None] = set()
    received: dict[str, tuple[set[str | None], list[int]]] = {}
    for index, message in enumerate(messages):
        recipient = _recipient(message)
        if recipient is not None and message.name != recipient:
            speakers, indexes = received.setdefault(recipient, (set(), []))
            speakers.add(message.name)
            indexes.append(index)
        if message.name != recipient:
            speaking.add(message.name)
    managers: list[str] = []
    for recipient, (speakers, indexes) in received.items():
        if recipient in speaking:
            if not managers:
                return []
            continue
        if not managers:
            managers.append(recipient)
            continue
        previous_speakers, previous_indexes = received[managers[-1]]
        common = len(speakers & previous_speakers)
        if previous_indexes[-1] < indexes[0] and len(speakers) > 1 and common * 2 > len(speakers):
            managers.append(recipient)
    return managers


def _recipient(message: Message) -> str | None:
    recipient = message.metadata.get("recipient")
    return recipient if isinstance(recipient, str) else None


def _content(content: Any, role: str, repairs: Repairs) -> Any:
    """Text, or parts that AG2 can print. A call without text gets an empty text, because AG2 prints null."""
    if isinstance(content, str) and not content.startswith("data:"):
        return content
    if isinstance(content, list) and content:
        parts = [_part(part, role, repairs) for part in content]
        if None not in parts:
            count_replaced_media(content, parts, repairs)
            return parts
    elif role == "user" and (media := media_of(content)) is not None and (picture := picture_part(media)) is not None:
        return [picture]
    return plain_text(content, repairs)


def _part(part: Any, role: str, repairs: Repairs) -> Row | None:
    """A text part with the keys that AG2 can print, or a picture of a user; None for any other part."""
    text = text_of_part(part)
    if text is not None:
        stored = part if isinstance(part, dict) else {}
        kept = {key: value for key, value in stored.items() if isinstance(value, str | dict)}
        if len(kept) < len(stored):
            repairs.count(Repair.PARTS_TRIMMED)
        return {**kept, "type": "text", "text": text}
    media = media_of(part)
    if media is None:
        return None
    return (picture_part(media) if role == "user" else None) or {"type": "text", "text": media.as_text()}
