"""`ag2`: the messages that AG2's `GroupChatManager.resume` takes (FACTS C; autogen/agentchat/groupchat.py of ag2 0.14).

Every message has `role`, `name` and `content`: one without a name would be taken as the manager's, one without the
others raises. Only the user whom AG2 adds itself (`_User`), as in AG2's own results, and the manager go without: no chat
has agents of these names when it is resumed. Results of tool calls stand in `tool_responses`, several in one message, as AG2 stores them
itself. What was said in chats nested within a turn is no part of the group chat, and is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from chatstore_cli.domain.content import content_text
from chatstore_cli.domain.message import ROLES, Message
from chatstore_cli.domain.workflow.repairs import Repair, Repairs
from chatstore_cli.domain.workflow.tool_calls import NO_RESULT, Exchange, ToolCall, pair_calls_with_results

Row = dict[str, Any]

AG2_USER = "_User"
"""The user whom AG2 adds to a group chat that is begun with a text alone."""


def rows(messages: Iterable[Message], repairs: Repairs) -> Iterator[Row]:
    """The messages for AG2. Calls that end the history without any result stay open: AG2 makes them when it resumes."""
    speakers = _Speakers(repairs)
    for turn in pair_calls_with_results(_of_the_group(messages, repairs), repairs):
        if isinstance(turn, Message):
            yield _row(turn, speakers, repairs)
        else:
            yield from _exchange_rows(turn, speakers, repairs)


def _row(message: Message, speakers: _Speakers, repairs: Repairs) -> Row:
    role = message.role
    if role not in ROLES:
        repairs.count(Repair.ROLE_UNKNOWN)
        role = "user"
    row = {"role": role, "name": speakers.name_of(message, role), "content": _content(message.content, repairs)}
    if row["name"] == AG2_USER:
        del row["name"]
    return row


def _exchange_rows(exchange: Exchange, speakers: _Speakers, repairs: Repairs) -> Iterator[Row]:
    called = _row(exchange.message._replace(role="assistant"), speakers, repairs)
    yield {**called, "tool_calls": [_call(call) for call in exchange.calls]}
    if exchange.is_last and not any(exchange.results):
        return
    answers: list[tuple[str, Row]] = []
    for call, result in zip(exchange.calls, exchange.results, strict=True):
        text = NO_RESULT
        if result is None:
            repairs.count(Repair.CALL_UNANSWERED)
        else:
            text = content_text(result.content)
        name = speakers.runner if result is None else speakers.name_of(result, "tool")
        answers.append((name, {"tool_call_id": call.call_id, "role": "tool", "content": text}))
    for name, group in groupby(answers, key=lambda answer: answer[0]):
        responses = [response for _, response in group]
        content = "\n\n".join(response["content"] for response in responses)
        yield {"role": "tool", "name": name, "content": content, "tool_responses": responses}


def _call(call: ToolCall) -> Row:
    return {"id": call.call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


class _Speakers:
    """Who speaks where no name is stored: the role, and for results whoever ran tools last, or else spoke as user."""

    def __init__(self, repairs: Repairs) -> None:
        self._repairs = repairs
        self._user = "user"
        self._runner: str | None = None

    @property
    def runner(self) -> str:
        """The agent that runs tools here."""
        return self._runner or self._user

    def name_of(self, message: Message, role: str) -> str:
        """The message's own name, or a stand-in, which is counted."""
        if not message.name:
            self._repairs.count(Repair.SPEAKER_MISSING)
            return {"tool": self.runner, "user": self._user}.get(role, role)
        if role == "tool":
            self._runner = message.name
        elif role == "user":
            self._user = message.name
        return message.name


def _of_the_group(messages: Iterable[Message], repairs: Repairs) -> Iterator[Message]:
    """Without the turns of chats that were nested within a turn of a group chat."""
    source = iter(messages)
    for message in source:
        if _recipient(message) is None:
            yield message
            continue
        rest = [message, *source]
        yield from turns_of_the_group(rest, managers_in(rest), repairs)


def turns_of_the_group(messages: Iterable[Message], managers: Sequence[str], repairs: Repairs) -> Iterator[Message]:
    """Those said to its managers, or to nobody knows whom; all of them where it has no manager.

    What was said in a manager's name has none here: AG2 takes it as its manager's, whatever that is called by now.
    """
    for message in messages:
        if managers and _recipient(message) not in (None, *managers):
            repairs.count(Repair.NESTED)
        elif message.name in managers:
            yield message._replace(name=AG2_USER)
        else:
            yield message


def managers_in(messages: Iterable[Message]) -> list[str]:
    """The managers of the group chat, newest last. A chat of two has none.

    A manager is whom the first turn is said to, if it says nothing itself but to itself, as AG2 does in its name. In a
    later run it may have another name: then nothing is said to the old one any more, and two at least speak to the new
    one, most of whom spoke to the old. Others are spoken to in chats nested within a turn.
    """
    speaking: set[str | None] = set()
    spoken_to: dict[str, tuple[set[str | None], list[int]]] = {}
    for place, message in enumerate(messages):
        recipient = _recipient(message)
        if recipient is not None and message.name != recipient:
            speakers, places = spoken_to.setdefault(recipient, (set(), []))
            speakers.add(message.name)
            places.append(place)
        if message.name != recipient:
            speaking.add(message.name)
    managers: list[str] = []
    for recipient, (speakers, places) in spoken_to.items():
        if recipient in speaking:
            if not managers:
                return []
            continue
        if not managers:
            managers.append(recipient)
            continue
        before, earlier = spoken_to[managers[-1]]
        if earlier[-1] < places[0] and len(speakers) > 1 and len(speakers & before) * 2 > len(speakers):
            managers.append(recipient)
    return managers


def _recipient(message: Message) -> str | None:
    found = message.metadata.get("recipient")
    return found if isinstance(found, str) else None


_KEPT_PARTS = (("text", "text", str), ("input_text", "text", str), ("image_url", "image_url", dict))
"""Parts that AG2 can show: type, the key of their value, and what that has to be."""


def _content(content: Any, repairs: Repairs) -> Any:
    """Text, or parts of the kinds that AG2 can show; a call without words gets empty text, for AG2 prints null."""
    if isinstance(content, list) and content and all(map(_is_kept, content)):
        parts = [{key: value for key, value in part.items() if isinstance(value, str | dict)} for part in content]
        if parts != content:
            repairs.count(Repair.PARTS_TRIMMED)
        return parts
    if content is not None and not isinstance(content, str):
        repairs.count(Repair.CONTENT_FLATTENED)
    return content_text(content)


def _is_kept(part: Any) -> bool:
    return isinstance(part, dict) and any(
        part.get("type") == kind and isinstance(part.get(key), wanted) for kind, key, wanted in _KEPT_PARTS
    )
