"""Usage snapshots for tests, and a plain model of what they add up to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from chatstore_cli.domain.usage import Usage
from chatstore_cli.domain.usage_ledger import UsageSnapshot

START = datetime(2026, 3, 1, 22, tzinfo=UTC)


def snapshot(number: int, total: int, **facts: Any) -> UsageSnapshot:
    """Report `number`: two thirds of `total` tokens are the prompt's, a token costs 0.001; an hour later each."""
    settings: dict[str, Any] = {
        "event_id": f"event-{number}",
        "chat_id": "chat-1",
        "run": 1,
        "tenant_id": "acme",
        "user_id": "ada",
        "workflow": "triage",
        "agent": "Writer",
        "model": "m-1",
        "prompt_tokens": total - total // 3,
        "completion_tokens": total // 3,
        "total_tokens": total,
        "cost": Decimal(total) / 1000,
        "at": START + timedelta(hours=number),
    }
    return UsageSnapshot(**{**settings, **facts})


def modelled(
    reports: Iterable[UsageSnapshot], key: Callable[[UsageSnapshot], Any] = lambda one: None
) -> dict[Any, Usage]:
    """The sums of reports by a key: in order of time, each report adds the part that exceeds the earlier ones."""
    highest: dict[Any, list[Any]] = defaultdict(lambda: [0, 0, 0, None])
    sums: dict[Any, list[Any]] = defaultdict(lambda: [0, 0, 0, None])
    for one in sorted(reports, key=lambda report: report.at):
        client = (one.chat_id, one.run, one.agent, one.model)
        numbers = (one.prompt_tokens, one.completion_tokens, one.total_tokens, one.cost)
        for place, number in enumerate(numbers):
            if number is not None and number >= (highest[client][place] or 0):
                sums[key(one)][place] = (sums[key(one)][place] or 0) + number - (highest[client][place] or 0)
                highest[client][place] = number
    return {group: Usage(*numbers) for group, numbers in sums.items() if any(numbers)}
