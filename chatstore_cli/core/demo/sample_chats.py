"""Sample chats, made from a seed: agent workflows as stored, and journals of flat messages as an application leaves them.

The same seed and the same present give the same chats. They are plain values: `mongo/` stores the sessions, and the
journals are text. Shapes are those of DESIGN section 3 (ours) and FACTS B (older ones, which readers must accept).
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

from chatstore_cli.core.demo.sample_texts import ASIDE, NOTES, QUESTIONS, REFUND, REPORT, SLOTS, TRIP, USER, Beat, Story
from chatstore_cli.core.demo.sample_usage import Answer, Owner, sample_usage
from chatstore_cli.domain.message import GENERAL_AGENT
from chatstore_cli.domain.times import format_instant
from chatstore_cli.domain.usage_ledger import UsageSnapshot

Document = dict[str, Any]

DEFAULT_SEED = 7
RESUMED = "chat-5d1c07e2"
"""The session that is worth resuming: running, several agents, tool calls, an aside with the general agent."""

JOURNAL_SESSIONS = 12
CAP_OF_PROMPT_TOKENS = 8_000
_PRICE_OF_PROMPT_TOKEN = 0.15e-6 * 10
_PRICE_OF_COMPLETION_TOKEN = 0.60e-6 * 10


@dataclass(frozen=True, slots=True)
class SampleChats:
    """`sessions`: documents of the workflow layout, without `_id` where the store gives one. `journals`: session id ->
    the text of its file. `journal_messages` is how many messages the journals hold. `usage` is what agents of some of
    the sessions reported: the counters of these begin at nothing."""

    sessions: tuple[Document, ...]
    journals: Mapping[str, str]
    journal_messages: int
    usage: tuple[UsageSnapshot, ...] = ()


@dataclass(frozen=True, slots=True)
class _Plan:
    chat_id: str
    story: Story
    tenant: str
    user: str
    hours_ago: float
    ending: str = "completed"
    rounds: int = 1
    aside: bool = False
    cost_known: bool = True
    shape: str = "ours"
    reported: bool = False


_PLANS = (
    _Plan(RESUMED, TRIP, "oakline-travel", "ana", 1.0, ending="running", rounds=2, aside=True, reported=True),
    _Plan("chat-93b8f1aa", REFUND, "harbor-books", "tomasz", 3.2, reported=True),
    _Plan("chat-0c7be44d", REFUND, "harbor-books", "mireille", 5.5, ending="failed", reported=True),
    _Plan("chat-e81d20f6", TRIP, "oakline-travel", "jonas", 9.0, ending="paused"),
    _Plan("chat-2f6a9b13", REPORT, "harbor-books", "mireille", 30.0, rounds=60, reported=True),
    _Plan("chat-71cc3e58", NOTES, "kestrel-software", "li-wen", 26.0, ending="running", rounds=3, reported=True),
    _Plan("chat-ab04d7c9", NOTES, "kestrel-software", "sam", 50.0, rounds=4, cost_known=False),
    _Plan("chat-46e2f80b", TRIP, "oakline-travel", "ana", 75.0, rounds=3, aside=True),
    _Plan("chat-d5903a71", REFUND, "harbor-books", "tomasz", 98.0),
    _Plan("chat-18fb6c2e", REPORT, "kestrel-software", "sam", 124.0, rounds=4),
    _Plan("chat-b7743e0d", TRIP, "oakline-travel", "jonas", 170.0),
    _Plan("chat-old-b001", REFUND, "harbor-books", "tomasz", 700.0, shape="B"),
    _Plan("chat-old-c001", NOTES, "kestrel-software", "li-wen", 500.0, shape="C", rounds=2),
    _Plan("chat-old-d001", TRIP, "oakline-travel", "ana", 400.0, ending="running", shape="D"),
    _Plan("chat-old-e001", REFUND, "harbor-books", "mireille", 300.0, ending="failed", shape="E"),
)


def sample_chats(now: datetime, seed: int = DEFAULT_SEED) -> SampleChats:
    """All samples. `now` (aware) is the present; everything happened before it."""
    random = Random(seed)
    present = now.replace(minute=0, second=0, microsecond=0)
    happened = [(plan, _happened(plan, present, random)) for plan in _PLANS]
    sessions = tuple(_SHAPES[plan.shape](plan, turns) for plan, turns in happened)
    usage = tuple(chain.from_iterable(_reports(plan, turns) for plan, turns in happened if plan.reported))
    journals, messages = {}, 0
    for number in range(JOURNAL_SESSIONS):
        session_id = f"shop-{number + 1:02d}-{random.getrandbits(24):06x}"
        lines = list(_journal_lines(session_id, present - timedelta(hours=2 + 7 * number), random))
        messages += len(lines)
        # One process was killed and its successor went on in the same line: two records, no newline between them.
        ends = ["\n"] * len(lines)
        if number == 3:
            ends[4] = ""
        journals[session_id] = "".join(line + end for line, end in zip(lines, ends, strict=True))
    return SampleChats(sessions, journals, messages, usage)


# --- what happened ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Turn:
    speaker: str
    role: str
    content: str
    at: datetime
    event_id: str
    event_type: str = "text"
    general: bool = False
    tool_calls: list[Document] | None = None
    tool_call_id: str | None = None


def _happened(plan: _Plan, present: datetime, random: Random) -> list[_Turn]:
    slots = {name: random.choice(choices) for name, choices in SLOTS.items()}
    at = present - timedelta(hours=plan.hours_ago)
    turns: list[_Turn] = []
    for beat, general in _beats(plan):
        if beat is plan.story.round[0]:
            slots |= {name: random.choice(SLOTS[name]) for name in plan.story.fresh}
        for turn in _turns(beat, slots, general, random):
            at += timedelta(milliseconds=random.randint(1_500, 24_000))
            turns.append(turn(at))
    return turns


def _beats(plan: _Plan) -> Iterator[tuple[Beat, bool]]:
    story = plan.story
    yield from ((beat, False) for beat in story.opening)
    for number in range(plan.rounds):
        yield from ((beat, False) for beat in story.round)
        if plan.aside and number == 0:
            yield from ((beat, True) for beat in ASIDE)
    ending = {"completed": story.closing, "failed": story.failing}.get(plan.ending, ())
    yield from ((beat, False) for beat in ending)


def _turns(beat: Beat, slots: Mapping[str, str], general: bool, random: Random) -> list[Callable[[datetime], _Turn]]:
    def new_id() -> str:
        return str(uuid.UUID(int=random.getrandbits(128), version=4))

    text = beat.text.format(**slots)
    if beat.tool is None:
        role, event_id = ("user" if beat.speaker == USER else "assistant"), new_id()
        return [lambda at: _Turn(beat.speaker, role, text, at, event_id, general=general)]
    call_id, asked, answered = f"call_{random.getrandbits(48):012x}", new_id(), new_id()
    arguments = json.dumps({name: value.format(**slots) for name, value in beat.arguments.items()}, ensure_ascii=False)
    calls = [{"id": call_id, "type": "function", "function": {"name": beat.tool, "arguments": arguments}}]
    return [
        lambda at: _Turn(beat.speaker, "assistant", "", at, asked, "tool_call", tool_calls=calls),
        lambda at: _Turn("ToolExecutor", "tool", text, at, answered, "tool_response", tool_call_id=call_id),
    ]


def _answers(turns: list[_Turn]) -> Iterator[Answer]:
    # Every answer of an agent was asked for with everything said before it, up to the size of the window.
    said = 0
    for turn in turns:
        size = 4 + len(turn.content) // 4
        if turn.role == "assistant":
            yield Answer(turn.speaker, turn.at, turn.event_id, min(said, CAP_OF_PROMPT_TOKENS), size)
        said += size


def _reports(plan: _Plan, turns: list[_Turn]) -> Iterator[UsageSnapshot]:
    owner = Owner(plan.chat_id, plan.tenant, plan.user, plan.story.workflow)
    return sample_usage(owner, list(_answers(turns)))


def _tokens(plan: _Plan, turns: list[_Turn]) -> Document:
    answers = [] if plan.reported else list(_answers(turns))
    prompt, completion = (sum(getattr(one, name) for one in answers) for name in ("prompt_tokens", "completion_tokens"))
    tokens: Document = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    if plan.cost_known:
        tokens["total_cost"] = round(prompt * _PRICE_OF_PROMPT_TOKEN + completion * _PRICE_OF_COMPLETION_TOKEN, 6)
    return tokens


# --- the shapes it is stored in --------------------------------------------------------------------------------------


def _ours(plan: _Plan, turns: list[_Turn]) -> Document:
    ended = turns[-1].at
    document = {
        "chat_id": plan.chat_id,
        "enterprise_id": plan.tenant,
        "user_id": plan.user,
        "workflow_name": plan.story.workflow,
        "created_at": turns[0].at,
        "updated_at": ended,
        "status": {"completed": 1, "failed": -1}.get(plan.ending, 0),
        "real_time_tracking": {"tokens": _tokens(plan, turns)},
        "messages": [_our_message(turn, number) for number, turn in enumerate(turns, 1)],
        "last_sequence": len(turns),
    }
    endings: dict[str, Document] = {
        "completed": {"completed_at": ended},
        "failed": {"failed_at": ended},
        "paused": {"paused": True, "pause_reason": "waiting for the customer", "paused_at": ended},
    }
    return document | endings.get(plan.ending, {})


def _our_message(turn: _Turn, number: int) -> Document:
    message: Document = {
        "sender": turn.speaker,
        "content": turn.content,
        "role": turn.role,
        "timestamp": turn.at,
        "event_type": turn.event_type,
        "event_id": turn.event_id,
        "sequence": number,
    }
    if turn.general:
        # Both places are met in real databases (FACTS B).
        message |= {"source": GENERAL_AGENT} if turn.role == "assistant" else {"metadata": {"source": GENERAL_AGENT}}
    if turn.tool_calls:
        message["tool_calls"] = turn.tool_calls
    if turn.tool_call_id:
        message["tool_call_id"] = turn.tool_call_id
    return message


def _variant_b(plan: _Plan, turns: list[_Turn]) -> Document:
    spoken = [turn for turn in turns if turn.event_type == "text"]
    tokens = _tokens(plan, turns)
    messages = [
        {
            "sender": turn.speaker,
            "agent_name": turn.speaker,
            "content": turn.content,
            "role": turn.role,
            "timestamp": turn.at.replace(tzinfo=None).isoformat(),
            "event_type": "TextEvent",
            "event_id": turn.event_id,
            "is_user_proxy": turn.speaker == USER,
        }
        for turn in spoken
    ]
    # That product once stored the printed form of an event instead of its text (FACTS B).
    first = spoken[0]
    messages[0]["content"] = (
        f"uuid=UUID('{first.event_id}') content={first.content!r} sender='user' recipient='IntakeAgent'"
    )
    return {
        "chat_id": plan.chat_id,
        "enterprise_id": plan.tenant,
        "user_id": plan.user,
        "workflow_name": plan.story.workflow,
        "created_at": turns[0].at,
        "last_updated_at": turns[-1].at,
        "completed_at": turns[-1].at,
        "status": "completed",
        "termination_reason": "workflow completed",
        "real_time_tracking": {"tokens": tokens},
        "usage_summary": {"raw": tokens},
        "messages": messages,
    }


def _variants_c_to_e(plan: _Plan, turns: list[_Turn]) -> Document:
    tokens = _tokens(plan, turns)
    spoken = [turn for turn in turns if turn.event_type == "text"]
    messages = [
        {
            "role": turn.role,
            "content": turn.content,
            "timestamp": turn.at,
            "event_type": "message.created",
            "event_id": turn.event_id,
            # A crash between counter and push left a gap in one of them.
            "sequence": number + (2 if number > 4 and plan.shape == "C" else 0),
            "agent_name": turn.speaker,
        }
        for number, turn in enumerate(spoken, 1)
    ]
    document = {
        "_id": plan.chat_id,
        ("enterprise_id" if plan.shape == "C" else "app_id"): plan.tenant,
        "user_id": plan.user,
        "workflow_name": plan.story.workflow,
        "created_at": turns[0].at,
        "last_updated_at": turns[-1].at,
        "status": {"completed": 1, "failed": 2}.get(plan.ending, 0),
        "usage_prompt_tokens_final": tokens["prompt_tokens"],
        "usage_completion_tokens_final": tokens["completion_tokens"],
        "usage_total_tokens_final": tokens["total_tokens"],
        "usage_total_cost_final": tokens["total_cost"],
        "messages": messages,
    }
    return document | ({"failed_at": turns[-1].at} if plan.ending == "failed" else {})


_SHAPES: dict[str, Callable[[_Plan, list[_Turn]], Document]] = {
    "ours": _ours, "B": _variant_b, "C": _variants_c_to_e, "D": _variants_c_to_e, "E": _variants_c_to_e,
}  # fmt: skip


# --- journals --------------------------------------------------------------------------------------------------------


def _journal_lines(session_id: str, start: datetime, random: Random) -> Iterator[str]:
    transport = random.choice(("rest", "websocket"))
    at = start + timedelta(microseconds=random.randint(0, 59_000_000))
    for question, answer in random.sample(QUESTIONS, random.randint(8, len(QUESTIONS))):
        for role, text in (("user", question), ("assistant", answer)):
            at += timedelta(microseconds=random.randint(900_000, 45_000_000))
            line = {
                "session_id": session_id,
                "role": role,
                "text": text,
                "metadata": {"transport": transport},
                "vector_ids": [],
                "created_at": format_instant(at),
            }
            yield json.dumps(line, ensure_ascii=False)
