"""The numbers that applications and agents report: which ones are valid, and the rows of the ledger that they become."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from chatstore_cli.domain.content import json_safe
from chatstore_cli.domain.usage_ledger import MOST_TOKENS, UsageSnapshot

_LONGEST_NAME = 300


def snapshots_of(
    usages: Sequence[Mapping[str, Any]],
    *,
    event_id: str | None,
    chat_id: str,
    run: int,
    tenant_id: str | None,
    user_id: str | None,
    workflow: str | None,
    agent: str | None,
    at: datetime,
) -> tuple[list[UsageSnapshot], list[str]]:
    """The usages of an event as snapshots, and a sentence for each problem.

    A usage with an invalid token count (negative, above MOST_TOKENS, NaN, text) is left out as a whole: its other numbers
    would make a wrong sum. A missing count is 0, a missing total the sum of both. An invalid cost is unknown.
    """
    snapshots, problems = [], []
    for usage in usages:
        model = shown_name(usage.get("model"))
        subject = f"Usage of session {chat_id!r}, model {model!r}"
        try:
            prompt, completion, total = (
                token_count(usage.get(key)) for key in ("prompt_tokens", "completion_tokens", "total_tokens")
            )
        except ValueError as error:
            problems.append(f"{subject} is not counted: {error}.")
            continue
        cost = None
        cached, reasoning = (
            _detail(usage, *place, subject, problems)
            for place in (("cached", "prompt", prompt or 0), ("reasoning", "completion", completion or 0))
        )
        try:
            cost = valid_cost(usage.get("cost"))
        except ValueError as error:
            problems.append(f"{subject}: the cost is unknown: {error}.")
        summed = (prompt or 0) + (completion or 0)
        counts = (prompt or 0, completion or 0, summed if total is None else total)
        snapshots.append(
            UsageSnapshot(
                event_id, chat_id, run, tenant_id, user_id, workflow, agent, model, *counts, at, cached, cost,
                reasoning_tokens=reasoning,
            )
        )  # fmt: skip
    return snapshots, problems


_DETAILS_OF = {
    "prompt": ("prompt_tokens_details", "input_tokens_details"),
    "completion": ("completion_tokens_details", "output_tokens_details"),
}
"""Where OpenAI's usage objects have the parts of a count."""


def _detail(
    usage: Mapping[str, Any], part: str, whole: str, most: int, subject: str, problems: list[str]
) -> int | None:
    """The cached or reasoning tokens of a usage, beside its counts or as OpenAI nests them. None if it has none."""
    name = f"{part}_tokens"
    places = [usage, *(usage[key] for key in _DETAILS_OF[whole] if isinstance(usage.get(key), Mapping))]
    value = next((place[name] for place in places if place.get(name) is not None), None)
    try:
        count = token_count(value)
        if count is not None and count > most:
            raise ValueError(f"they are more than the {whole} tokens, whose part they are")
    except ValueError as error:
        problems.append(f"{subject}: {part} tokens are left out: {error}.")
        return None
    return count


def reason_not_countable(snapshot: UsageSnapshot) -> str | None:
    """Why a snapshot cannot be counted, None if it can."""
    counts = (snapshot.prompt_tokens, snapshot.completion_tokens, snapshot.total_tokens)
    try:
        if any(token_count(count) is None for count in counts):
            return "a token count is missing"
        token_count(snapshot.cached_tokens)
        token_count(snapshot.reasoning_tokens)
        valid_cost(snapshot.cost)
    except ValueError as error:
        return str(error)
    return None


def token_count(value: Any) -> int | None:
    """A valid number of tokens; None for None. Raises ValueError: negative, above MOST_TOKENS, NaN, text."""
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        value = int(value)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS):
        return value
    raise ValueError(f"a token count is not a number from 0 to {MOST_TOKENS:,}")


def valid_cost(value: Any) -> Decimal | None:
    """A valid cost; None for None. Raises ValueError: negative, above MOST_TOKENS, NaN, text."""
    try:
        if value is None:
            return None
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            # The 15 digits that a double has: agents' clients add doubles up, and 0.1 + 0.2 should cost 0.3.
            cost = Decimal(f"{value:.15g}") if isinstance(value, float) else Decimal(value)
            if cost.is_finite() and 0 <= cost <= MOST_TOKENS:
                return cost
    except InvalidOperation:
        pass
    raise ValueError(f"a cost is not a number from 0 to {MOST_TOKENS:,}")


def shown_name(value: object) -> str | None:
    """The name of an agent or a model as it is stored: None if it is not a text, or empty."""
    return str(json_safe(value))[:_LONGEST_NAME] if isinstance(value, str) and value else None
