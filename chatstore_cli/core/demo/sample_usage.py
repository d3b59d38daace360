"""Usage that the agents of sample sessions report: cumulative, after each answer, as AG2's clients do."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from chatstore_cli.core.demo.stories import SessionPlan
from chatstore_cli.domain.usage_ledger import UsageSnapshot


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of an agent, with the tokens of its prompt and of the answer."""

    agent: str
    time: datetime
    event_id: str
    prompt_tokens: int
    completion_tokens: int


class _Model(NamedTuple):
    name: str
    prompt_price: Decimal
    completion_price: Decimal


_SMALL = _Model("gpt-4o-mini", Decimal("0.00000015"), Decimal("0.0000006"))
_LARGE = _Model("gpt-4o", Decimal("0.0000025"), Decimal("0.00001"))
_LARGE_MODEL_AGENTS = {"PlannerAgent", "PolicyAgent", "WriterAgent"}


def sample_usage(chat: SessionPlan, answers: Sequence[Answer]) -> Iterator[UsageSnapshot]:
    """The reports of one session. The last one is repeated when the session ends, as clients do, and adds nothing."""
    used: dict[str, tuple[int, int]] = {}
    report: UsageSnapshot | None = None
    for answer in answers:
        prompt, completion = used.get(answer.agent, (0, 0))
        prompt, completion = prompt + answer.prompt_tokens, completion + answer.completion_tokens
        used[answer.agent] = prompt, completion
        model = _LARGE if answer.agent in _LARGE_MODEL_AGENTS else _SMALL
        report = UsageSnapshot(
            event_id=_usage_event(answer.event_id, "usage"),
            chat_id=chat.chat_id,
            run=1,
            tenant_id=chat.tenant,
            user_id=chat.user,
            workflow=chat.workflow,
            agent=answer.agent,
            model=model.name,
            prompt_tokens=prompt,
            completion_tokens=completion,
            total_tokens=prompt + completion,
            at=answer.time,
            cost=prompt * model.prompt_price + completion * model.completion_price,
        )
        yield report
    if report is not None:
        ended = answers[-1].time + timedelta(seconds=1)
        yield replace(report, event_id=_usage_event(answers[-1].event_id, "end"), at=ended)


def _usage_event(event_id: str, kind: str) -> str:
    """The id of the usage event, the same in every run."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{event_id} {kind}"))
