"""The stories of the demo's sample sessions, read from `stories.json`. All of them were made up for chatstore."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True)
class StoryStep:
    """A speaker writes `text`, or calls `tool` and gets `text` as its result. `{slots}` in texts are filled from the seed."""

    speaker: str
    text: str
    tool: str | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Story:
    """The steps of a workflow: the opening, the round as often as the session asks for, then one of the endings.

    The slots named in `fresh` are filled again for each round. The others keep their value for the whole session.
    """

    opening: Sequence[StoryStep]
    round: Sequence[StoryStep]
    closing: Sequence[StoryStep]
    failing: Sequence[StoryStep] = ()
    fresh: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class SessionPlan:
    """One session of the demo: its owner, its story, and its stored variant.

    `ending` is completed, failed, running or paused. `aside` puts a question to the general agent into the first round.
    `variant` is a stored variant (docs/layouts.md): current, text_status, enterprise or app. With `reported` the usage
    is in the usage ledger, and the session's own counters begin at 0.
    """

    chat_id: str
    workflow: str
    tenant: str
    user: str
    hours_ago: float
    ending: str = "completed"
    rounds: int = 1
    aside: bool = False
    cost_known: bool = True
    variant: str = "current"
    reported: bool = False


@dataclass(frozen=True, slots=True)
class Stories:
    """Everything in `stories.json`. `questions` are pairs of question and answer for flat chats."""

    sessions: Sequence[SessionPlan]
    stories: Mapping[str, Story]
    aside: Sequence[StoryStep]
    slots: Mapping[str, Sequence[str]]
    questions: Sequence[tuple[str, str]]


@cache
def load_stories() -> Stories:
    """The sample stories."""
    data = json.loads(files(__package__).joinpath("stories.json").read_text(encoding="utf-8"))
    return Stories(
        sessions=[SessionPlan(**plan) for plan in data["sessions"]],
        stories={workflow: _story(parts) for workflow, parts in data["stories"].items()},
        aside=_steps(data["aside"]),
        slots=data["slots"],
        questions=[(question, answer) for question, answer in data["questions"]],
    )


def _story(parts: Mapping[str, Any]) -> Story:
    steps = {name: _steps(part) for name, part in parts.items() if name != "fresh"}
    return Story(**steps, fresh=parts.get("fresh", ()))


def _steps(steps: Sequence[Mapping[str, Any]]) -> list[StoryStep]:
    return [StoryStep(**step) for step in steps]
