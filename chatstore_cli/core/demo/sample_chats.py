"""Sample sessions made from a seed: agent workflows as stored documents, and journals of flat messages.

The same seed and the same present give the same chats. They are plain values: `mongo/` stores the sessions, and the
journals are text. The stored shapes, and the older variants that readers must accept, are in docs/layouts.md.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from random import Random
from typing import Any

from chatstore_cli.core.demo.sample_usage import Answer, sample_usage
from chatstore_cli.core.demo.stories import SessionPlan, Stories, StoryStep, load_stories
from chatstore_cli.domain.message import GENERAL_AGENT
from chatstore_cli.domain.times import format_instant
from chatstore_cli.domain.usage_ledger import UsageSnapshot

Document = dict[str, Any]

DEFAULT_SEED = 7
RESUMED = "chat-5d1c07e2"
"""The session that the demo resumes: running, several agents, tool calls, an aside with the general agent."""

JOURNAL_SESSIONS = 12
MAX_PROMPT_TOKENS = 8_000
_PROMPT_TOKEN_PRICE = 0.15e-6 * 10
_COMPLETION_TOKEN_PRICE = 0.60e-6 * 10
_USER = "user"


@dataclass(frozen=True, slots=True)
class SampleChats:
    """The demo's data.

    `sessions` are documents of the workflow layout, without `_id` if the store creates one. `journals` maps a session id
    to the text of its file, and `journal_messages` counts their messages. `usage` is what the agents of some sessions
    reported; the counters of these sessions begin at 0.
    """

    sessions: tuple[Document, ...]
    journals: Mapping[str, str]
    journal_messages: int
    usage: tuple[UsageSnapshot, ...] = ()


def sample_chats(now: datetime, seed: int = DEFAULT_SEED) -> SampleChats:
    """All samples. `now` (aware) is the present; everything happened before it."""
    random = Random(seed)
    present = now.replace(minute=0, second=0, microsecond=0)
    stories = load_stories()
    sessions = [(plan, _turns(stories, plan, present, random)) for plan in stories.sessions]
    documents = tuple(_DOCUMENTS[plan.variant](plan, turns) for plan, turns in sessions)
    reported = (sample_usage(plan, list(_answers(turns))) for plan, turns in sessions if plan.reported)
    journals, messages = {}, 0
    for number in range(JOURNAL_SESSIONS):
        session_id = f"shop-{number + 1:02d}-{random.getrandbits(24):06x}"
        start = present - timedelta(hours=2 + 7 * number)
        lines = list(_journal_lines(stories, session_id, start, random))
        messages += len(lines)
        # A process was killed and its successor continued in the same line: two records without a newline between them.
        ends = ["\n"] * len(lines)
        if number == 3:
            ends[4] = ""
        journals[session_id] = "".join(line + end for line, end in zip(lines, ends, strict=True))
    return SampleChats(documents, journals, messages, tuple(chain.from_iterable(reported)))


# --- turns -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Turn:
    speaker: str
    role: str
    content: str
    time: datetime
    event_id: str
    event_type: str = "text"
    general: bool = False
    tool_calls: list[Document] | None = None
    tool_call_id: str | None = None


def _turns(stories: Stories, plan: SessionPlan, present: datetime, random: Random) -> list[_Turn]:
    """The messages and tool calls of one session."""
    story = stories.stories[plan.workflow]
    slots = {name: random.choice(choices) for name, choices in stories.slots.items()}
    time = present - timedelta(hours=plan.hours_ago)
    turns: list[_Turn] = []
    for step, general in _steps(stories, plan):
        if step is story.round[0]:
            slots |= {name: random.choice(stories.slots[name]) for name in story.fresh}
        for turn_at in _turns_of_step(step, slots, general, random):
            time += timedelta(milliseconds=random.randint(1_500, 24_000))
            turns.append(turn_at(time))
    return turns


def _steps(stories: Stories, plan: SessionPlan) -> Iterator[tuple[StoryStep, bool]]:
    """The steps of a session, each with whether it belongs to the aside with the general agent."""
    story = stories.stories[plan.workflow]
    yield from ((step, False) for step in story.opening)
    for number in range(plan.rounds):
        yield from ((step, False) for step in story.round)
        if plan.aside and number == 0:
            yield from ((step, True) for step in stories.aside)
    ending = {"completed": story.closing, "failed": story.failing}.get(plan.ending, ())
    yield from ((step, False) for step in ending)


def _turns_of_step(
    step: StoryStep, slots: Mapping[str, str], general: bool, random: Random
) -> list[Callable[[datetime], _Turn]]:
    def new_id() -> str:
        return str(uuid.UUID(int=random.getrandbits(128), version=4))

    text = step.text.format(**slots)
    if step.tool is None:
        role, event_id = ("user" if step.speaker == _USER else "assistant"), new_id()
        return [lambda time: _Turn(step.speaker, role, text, time, event_id, general=general)]
    call_id, call_event, result_event = f"call_{random.getrandbits(48):012x}", new_id(), new_id()
    arguments = json.dumps({name: value.format(**slots) for name, value in step.arguments.items()}, ensure_ascii=False)
    calls = [{"id": call_id, "type": "function", "function": {"name": step.tool, "arguments": arguments}}]
    return [
        lambda time: _Turn(step.speaker, "assistant", "", time, call_event, "tool_call", tool_calls=calls),
        lambda time: _Turn("ToolExecutor", "tool", text, time, result_event, "tool_response", tool_call_id=call_id),
    ]


def _answers(turns: list[_Turn]) -> Iterator[Answer]:
    # The prompt of each answer is everything before it, up to the size of the context window.
    tokens_before = 0
    for turn in turns:
        size = 4 + len(turn.content) // 4
        if turn.role == "assistant":
            yield Answer(turn.speaker, turn.time, turn.event_id, min(tokens_before, MAX_PROMPT_TOKENS), size)
        tokens_before += size


def _tokens(plan: SessionPlan, turns: list[_Turn]) -> Document:
    answers = [] if plan.reported else list(_answers(turns))
    prompt = sum(answer.prompt_tokens for answer in answers)
    completion = sum(answer.completion_tokens for answer in answers)
    tokens: Document = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    if plan.cost_known:
        tokens["total_cost"] = round(prompt * _PROMPT_TOKEN_PRICE + completion * _COMPLETION_TOKEN_PRICE, 6)
    return tokens


# --- stored documents ------------------------------------------------------------------------------------------------


def _current_document(plan: SessionPlan, turns: list[_Turn]) -> Document:
    ended = turns[-1].time
    document = {
        "chat_id": plan.chat_id,
        "enterprise_id": plan.tenant,
        "user_id": plan.user,
        "workflow_name": plan.workflow,
        "created_at": turns[0].time,
        "updated_at": ended,
        "status": {"completed": 1, "failed": -1}.get(plan.ending, 0),
        "real_time_tracking": {"tokens": _tokens(plan, turns)},
        "messages": [_current_message(turn, number) for number, turn in enumerate(turns, 1)],
        "last_sequence": len(turns),
    }
    endings: dict[str, Document] = {
        "completed": {"completed_at": ended},
        "failed": {"failed_at": ended},
        "paused": {"paused": True, "pause_reason": "waiting for the customer", "paused_at": ended},
    }
    return document | endings.get(plan.ending, {})


def _current_message(turn: _Turn, number: int) -> Document:
    message: Document = {
        "sender": turn.speaker,
        "content": turn.content,
        "role": turn.role,
        "timestamp": turn.time,
        "event_type": turn.event_type,
        "event_id": turn.event_id,
        "sequence": number,
    }
    if turn.general:
        # Real databases have the mark of the general agent in either place.
        message |= {"source": GENERAL_AGENT} if turn.role == "assistant" else {"metadata": {"source": GENERAL_AGENT}}
    if turn.tool_calls:
        message["tool_calls"] = turn.tool_calls
    if turn.tool_call_id:
        message["tool_call_id"] = turn.tool_call_id
    return message


def _text_status_document(plan: SessionPlan, turns: list[_Turn]) -> Document:
    spoken = [turn for turn in turns if turn.event_type == "text"]
    tokens = _tokens(plan, turns)
    messages = [
        {
            "sender": turn.speaker,
            "agent_name": turn.speaker,
            "content": turn.content,
            "role": turn.role,
            "timestamp": turn.time.replace(tzinfo=None).isoformat(),
            "event_type": "TextEvent",
            "event_id": turn.event_id,
            "is_user_proxy": turn.speaker == _USER,
        }
        for turn in spoken
    ]
    # The product of this variant once stored the printed form of an event instead of its text.
    first = spoken[0]
    messages[0]["content"] = (
        f"uuid=UUID('{first.event_id}') content={first.content!r} sender='user' recipient='IntakeAgent'"
    )
    return {
        "chat_id": plan.chat_id,
        "enterprise_id": plan.tenant,
        "user_id": plan.user,
        "workflow_name": plan.workflow,
        "created_at": turns[0].time,
        "last_updated_at": turns[-1].time,
        "completed_at": turns[-1].time,
        "status": "completed",
        "termination_reason": "workflow completed",
        "real_time_tracking": {"tokens": tokens},
        "usage_summary": {"raw": tokens},
        "messages": messages,
    }


def _final_usage_document(plan: SessionPlan, turns: list[_Turn]) -> Document:
    tokens = _tokens(plan, turns)
    is_enterprise = plan.variant == "enterprise"
    spoken = [turn for turn in turns if turn.event_type == "text"]
    messages = [
        {
            "role": turn.role,
            "content": turn.content,
            "timestamp": turn.time,
            "event_type": "message.created",
            "event_id": turn.event_id,
            # A crash between the counter and the push left a gap in one variant.
            "sequence": number + (2 if number > 4 and is_enterprise else 0),
            "agent_name": turn.speaker,
        }
        for number, turn in enumerate(spoken, 1)
    ]
    document = {
        "_id": plan.chat_id,
        ("enterprise_id" if is_enterprise else "app_id"): plan.tenant,
        "user_id": plan.user,
        "workflow_name": plan.workflow,
        "created_at": turns[0].time,
        "last_updated_at": turns[-1].time,
        "status": {"completed": 1, "failed": 2}.get(plan.ending, 0),
        "usage_prompt_tokens_final": tokens["prompt_tokens"],
        "usage_completion_tokens_final": tokens["completion_tokens"],
        "usage_total_tokens_final": tokens["total_tokens"],
        "usage_total_cost_final": tokens["total_cost"],
        "messages": messages,
    }
    return document | ({"failed_at": turns[-1].time} if plan.ending == "failed" else {})


_DOCUMENTS: dict[str, Callable[[SessionPlan, list[_Turn]], Document]] = {
    "current": _current_document,
    "text_status": _text_status_document,
    "enterprise": _final_usage_document,
    "app": _final_usage_document,
}


# --- journals --------------------------------------------------------------------------------------------------------


def _journal_lines(stories: Stories, session_id: str, start: datetime, random: Random) -> Iterator[str]:
    transport = random.choice(("rest", "websocket"))
    time = start + timedelta(microseconds=random.randint(0, 59_000_000))
    for question, answer in random.sample(stories.questions, random.randint(8, len(stories.questions))):
        for role, text in (("user", question), ("assistant", answer)):
            time += timedelta(microseconds=random.randint(900_000, 45_000_000))
            line = {
                "session_id": session_id,
                "role": role,
                "text": text,
                "metadata": {"transport": transport},
                "vector_ids": [],
                "created_at": format_instant(time),
            }
            yield json.dumps(line, ensure_ascii=False)
