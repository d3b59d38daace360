"""The numbers of reports: where cached and reasoning tokens are, and which of them are valid."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from chatstore_cli.core.usage.reported import snapshots_of

COUNTS = {"model": "m", "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def read(**usage: Any) -> tuple[int | None, int | None, list[str]]:
    [snapshot], problems = snapshots_of(
        [{**COUNTS, **usage}], event_id="e", chat_id="c", run=1, tenant_id=None, user_id=None, workflow=None, agent=None,
        at=datetime(2026, 10, 1, tzinfo=UTC),
    )  # fmt: skip
    return snapshot.cached_tokens, snapshot.reasoning_tokens, problems


@pytest.mark.parametrize(
    ("usage", "cached", "reasoning"),
    [
        ({}, None, None),
        ({"cached_tokens": 4, "reasoning_tokens": 2}, 4, 2),
        ({"prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 2}}, 4, 2),
        ({"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 5}}, 0, 5),
        ({"prompt_tokens_details": None, "completion_tokens_details": {"reasoning_tokens": None}}, None, None),
        ({"prompt_tokens_details": [4], "cached_tokens": 3.0}, 3, None),
    ],
)
def test_details_are_beside_the_counts_or_nested_as_openai_has_them(
    usage: dict[str, Any], cached: int | None, reasoning: int | None
) -> None:
    assert read(**usage) == (cached, reasoning, [])


@pytest.mark.parametrize("value", [-1, 11, "4", float("nan"), True, {"a": 1}])
def test_an_invalid_detail_is_unknown_and_the_report_counts(value: Any) -> None:
    cached, _, [problem] = read(prompt_tokens_details={"cached_tokens": value})
    assert cached is None
    assert problem.startswith("Usage of session 'c', model 'm': cached tokens are left out: ")
