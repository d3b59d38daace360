"""The tokens and the cost of threads: sums of `content.metadata.usage` over their messages, added up on the server.

The rules are those of MongoDB's layout `threads`: a usage has `prompt_tokens` or `input_tokens`, `completion_tokens` or
`output_tokens`, and it may have `total_tokens` and `total_cost` or `cost`. A number of tokens is a whole number from 0 to
MOST_TOKENS, a cost any number in this range, or a text of one. Anything else is left out of the sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, TextClause, text

from chatstore_cli.domain.usage import UNKNOWN_USAGE, KnownUsage
from chatstore_cli.domain.usage_ledger import MOST_TOKENS

_FIELD = "content.metadata.usage"
_COUNTS = (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"), ("total_tokens",))
_COSTS = ("total_cost", "cost")
_LEAST_COST = "1e-60"
"""No smaller cost is read anywhere, because its digits would fill a page."""
_LONGEST_TEXT = 100
_NUMBER = r"^\s*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?\s*$"
"""The texts that PostgreSQL converts to a number without an error."""


def usage_sums() -> TextClause:
    """The query for the sums of those of the threads `:ids` that have a usage."""
    return _QUERY


def to_usage(row: Row[Any]) -> tuple[KnownUsage, tuple[str, ...]]:
    """The usage of a thread, and the fields in which a number was invalid."""
    prompt, completion, total = int(row.prompt_tokens or 0), int(row.completion_tokens or 0), int(row.total_tokens or 0)
    cost = None if row.cost is None else Decimal(row.cost)
    if any(number > MOST_TOKENS for number in (prompt, completion, total, cost or 0)):
        return UNKNOWN_USAGE, (f"{_FIELD}.*",)
    usage = KnownUsage(prompt, completion, total, cost) if row.has_tokens else KnownUsage(cost=cost)
    return usage, () if row.invalid is None else (f"{_FIELD}.{row.invalid}",)


# --- the query -------------------------------------------------------------------------------------------------------


def _given(name: str) -> str:
    return f"coalesce(jsonb_typeof(u->'{name}'), 'null') <> 'null'"


def _number(name: str) -> str:
    """The value of a field if it is a number, or a text of one; else NULL. The order of CASE is kept, so no cast fails."""
    value = f"u->>'{name}'"
    return (
        f"CASE jsonb_typeof(u->'{name}') WHEN 'number' THEN ({value})::numeric WHEN 'string' THEN "
        f"CASE WHEN length({value}) <= {_LONGEST_TEXT} AND {value} ~ '{_NUMBER}' THEN ({value})::numeric END END"
    )


def _checked(name: str, more: str) -> str:
    return f"(SELECT n FROM (SELECT {_number(name)} AS n) AS {name} WHERE n >= 0 AND n <= {MOST_TOKENS} AND {more})"


def _first_given(names: Sequence[str]) -> str:
    """The number of the first field that has any value."""
    *others, last = (_checked(name, "n = trunc(n)") for name in names)
    cases = "".join(f"WHEN {_given(name)} THEN {number} " for name, number in zip(names, others, strict=False))
    return f"CASE {cases}ELSE {last} END" if cases else last


def _invalid_cases() -> str:
    """The first field whose value was to be used and is not valid."""
    cases = []
    for names in _COUNTS:
        for place, name in enumerate(names):
            earlier = "".join(f" AND NOT {_given(each)}" for each in names[:place])
            cases.append(f"WHEN {_given(name)}{earlier} AND {names[0]} IS NULL THEN '{name}'")
    for place, name in enumerate(_COSTS):
        missing = "".join(f" AND {each}_read IS NULL" for each in _COSTS[: place + 1])
        cases.append(f"WHEN {_given(name)}{missing} THEN '{name}'")
    return f"CASE {' '.join(cases)} END"


def _statement() -> str:
    counts = ", ".join(f"{_first_given(names)} AS {names[0]}" for names in _COUNTS)
    costs = ", ".join(f"{_checked(name, f'(n = 0 OR n >= {_LEAST_COST})')} AS {name}_read" for name in _COSTS)
    total = "CASE WHEN total_tokens > 0 THEN total_tokens ELSE coalesce(prompt_tokens, 0) + coalesce(completion_tokens, 0) END"
    has_tokens = " OR ".join(f"{names[0]} IS NOT NULL" for names in _COUNTS)
    cost = f"coalesce({', '.join(f'{name}_read' for name in _COSTS)})"
    return f"""
        SELECT chat_thread_id AS thread_id, sum(prompt_tokens) AS prompt_tokens,
            sum(completion_tokens) AS completion_tokens, sum({total}) AS total_tokens, sum({cost}) AS cost,
            bool_or({has_tokens}) AS has_tokens, max({_invalid_cases()} COLLATE "C") AS invalid
        FROM (
            SELECT chat_thread_id, u, {counts}, {costs}
            FROM (
                SELECT chat_thread_id, content #> '{{metadata,usage}}' AS u
                FROM chat_messages WHERE chat_thread_id = ANY(:ids)
            ) AS messages
            WHERE jsonb_typeof(u) = 'object'
        ) AS numbers
        GROUP BY chat_thread_id
        """


_QUERY = text(_statement())
