"""The demo's sample general chats and client session, stored by the use cases that an application calls.

The chats are read from `general_chats.json`. All of them were made up for chatstore.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any

from chatstore_cli.core.general.chats import GeneralChats
from chatstore_cli.core.session_registry.registry import SessionRegistry
from chatstore_cli.core.usage.metrics import GENERAL, SessionMetrics

TENANT, USER = "oakline-travel", "ana"
SESSION_KEY = "ana-laptop"
"""The key of the sample client session."""

COMPLETED_SESSION, OLDER_SESSION = "chat-46e2f80b", "chat-old-d001"
_WORKFLOW = "trip_planner"
_TAB = "tab-1"
_BETWEEN_MESSAGES = timedelta(seconds=27)
_CHARACTERS_OF_A_TOKEN = 4


class SampleClock:
    """The clock of the samples: `now` is set to the time at which each of them happened."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


@dataclass(frozen=True, slots=True)
class GeneralSamples:
    """Stores the sample general chats and the sample client session. The use cases read the time from `clock`."""

    chats: GeneralChats
    metrics: SessionMetrics
    registry: SessionRegistry
    clock: SampleClock

    def store(self, now: datetime, resumed: str) -> None:
        """Store the chats and the client session, in which the session `resumed` is active. `now` (aware) is the present."""
        present = now.replace(minute=0, second=0, microsecond=0)
        for plan in json.loads(files(__package__).joinpath("general_chats.json").read_text(encoding="utf-8")):
            self.clock.now = present - timedelta(hours=plan["hours_ago"])
            self._store_chat(plan)
        self._switch(present, resumed)

    def _store_chat(self, plan: dict[str, Any]) -> None:
        owner = {"app_id": plan["tenant"], "user_id": plan["user"]}
        chat_id = self.chats.create_general_chat_session(**owner)["chat_id"]
        prompt_tokens = 0
        for role, said in plan["messages"]:
            self.clock.now += _BETWEEN_MESSAGES
            message = self.chats.append_general_message(general_chat_id=chat_id, role=role, content=said, **owner)
            tokens = len(said) // _CHARACTERS_OF_A_TOKEN
            if role == "assistant":
                # As the platform reports them: without a cost.
                self.metrics.update_session_metrics(
                    chat_id, plan["user"], None, prompt_tokens, tokens, None, plan["tenant"],
                    agent_name=role, event_ts=self.clock.now, session_type=GENERAL, turn_id=message["event_id"],
                )  # fmt: skip
            prompt_tokens += tokens

    def _switch(self, present: datetime, resumed: str) -> None:
        """Start three workflows one after the other, enter general mode, and switch back to the last workflow."""
        registry, owner = self.registry, (TENANT, USER)
        registry.attach(_TAB, *owner, SESSION_KEY)
        for hours_ago, session_id in ((400.0, OLDER_SESSION), (75.0, COMPLETED_SESSION), (1.0, resumed)):
            self.clock.now = present - timedelta(hours=hours_ago)
            registry.add_workflow(_TAB, session_id, _WORKFLOW, *owner, f"plan-of-{session_id}")
            if session_id == COMPLETED_SESSION:
                registry.complete_workflow(_TAB, session_id)
        self.clock.now = present - timedelta(hours=0.985)
        registry.enter_general_mode(_TAB)
        self.clock.now += 6 * _BETWEEN_MESSAGES
        registry.switch_workflow(_TAB, COMPLETED_SESSION)  # refused, because it is completed
        registry.switch_workflow(_TAB, resumed)
