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
    """The sums of reports by a key: in order of time, each report adds the part that exceeds the earlier ones.

    A known cost that exceeds nothing is a cost of 0. A client's reports of one group count only if they add something,
    or are its first ones, or the first ones with a cost.
    """
    highest: dict[Any, list[Any]] = defaultdict(lambda: [None] * 4)
    parts: dict[Any, list[Any]] = defaultdict(lambda: [None] * 4)
    first: set[Any] = set()
    for one in sorted(reports, key=lambda report: report.at):
        client = (one.chat_id, one.run, one.agent, one.model)
        part = (key(one), client)
        for place, number in enumerate((one.prompt_tokens, one.completion_tokens, one.total_tokens, one.cost)):
            if number is None:
                continue
            earlier = highest[client][place]
            if earlier is None:
                first.add(part)
            parts[part][place] = (parts[part][place] or 0) + max(0, number - (earlier or 0))
            highest[client][place] = max(number, earlier or 0)
    sums: dict[Any, list[Any]] = defaultdict(lambda: [0, 0, 0, None])
    for part, numbers in parts.items():
        if part in first or any(numbers):
            group = sums[part[0]]
            group[:] = [
                total if number is None else (total or 0) + number for total, number in zip(group, numbers, strict=True)
            ]
    return {group: Usage(*numbers) for group, numbers in sums.items() if any(numbers)}
