"""The tokens and the cost of threads: sums of `content.metadata.usage` over their messages, added up on the server.

A usage has `prompt_tokens` or `input_tokens`, `completion_tokens` or `output_tokens`, and it may have `total_tokens` and
`total_cost` or `cost`. A number of tokens is a whole number from 0 to MOST_TOKENS, a cost any number in this range, or a
text of one. Anything else is left out of the sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from bson import Decimal128
from pymongo.collection import Collection

from chatstore_cli.domain.usage import UNKNOWN_USAGE, KnownUsage
from chatstore_cli.domain.usage_ledger import MOST_TOKENS
from chatstore_cli.mongo.bson_values import decimal_value, whole_number
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.identifiers import addressable_id, id_values

_FIELD = "content.metadata.usage"
_COUNTS = (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"), ("total_tokens",))
_COSTS = ("total_cost", "cost")
_LEAST_COST = Decimal128("1E-60")
"""The smallest cost that chatstore reads: a smaller one would be printed with hundreds of digits."""
_LONGEST_TEXT = 100


class SummedUsage(NamedTuple):
    """The usage of one thread, and the fields in which a number was invalid."""

    usage: KnownUsage
    invalid: tuple[str, ...] = ()


class MessageUsage:
    """Adds up the usage of threads of one collection of messages. Raises the driver's own errors."""

    def __init__(self, messages: Collection[Document], *, in_memory: bool) -> None:
        self._messages = messages
        self._in_memory = in_memory

    def of(self, threads: Sequence[str]) -> dict[str, SummedUsage]:
        """The usage of each of these threads that has one, by thread id."""
        among = {"$in": [value for thread in threads for value in id_values(thread)]}
        rows: Iterable[Document]
        if self._in_memory:
            rows = _sums_in_memory(self._messages.find({"chat_thread_id": among}))
        else:
            match = {"$match": {"chat_thread_id": among, _FIELD: {"$type": "object"}}}
            rows = self._messages.aggregate([match, *_STAGES], allowDiskUse=True)
        sums: dict[str, list[Document]] = {}
        for row in rows:
            thread = addressable_id(row["_id"])
            if thread is not None:
                sums.setdefault(thread, []).append(row)
        return {thread: _summed(parts) for thread, parts in sums.items()}


def _summed(rows: Sequence[Document]) -> SummedUsage:
    """The usage of one thread from its sums. There is one row for each BSON type in which its id is stored."""
    invalid = {row["invalid"] for row in rows} - {None}
    prompt, completion, total = (sum(whole_number(row[names[0]]) or 0 for row in rows) for names in _COUNTS)
    costs = [decimal_value(row["cost"]) or Decimal() for row in rows if row["has_cost"]]
    cost = sum(costs, Decimal()) if costs else None
    has_tokens = any(row["has_tokens"] for row in rows)
    if any(number > MOST_TOKENS for number in (prompt, completion, total, cost or 0)):
        return SummedUsage(UNKNOWN_USAGE, (f"{_FIELD}.*",))
    usage = KnownUsage(prompt, completion, total, cost) if has_tokens else KnownUsage(cost=cost)
    return SummedUsage(usage, tuple(f"{_FIELD}.{name}" for name in sorted(invalid)))


# --- on the server ---------------------------------------------------------------------------------------------------
#
# Most values are valid numbers, so the expressions check that first. Each value is computed in one stage and used in the
# next, because the server would need four times as long for a single stage.


def _given(*names: str) -> Any:
    """An expression: the value of the first field that has one."""
    fields = [f"$usage.{name}" for name in names]
    return {"$ifNull": [*fields, None]}


def _valid(value: str, *conditions: Any) -> Document:
    """An expression: the number in a value, or in a text; null if it is not valid. `conditions` are on `$$number`."""
    in_range = {"$and": [{"$gte": ["$$number", 0]}, {"$lte": ["$$number", MOST_TOKENS]}, *conditions]}
    checked = {"$cond": [in_range, "$$number", None]}

    def read(number: Any) -> Document:
        return {"$let": {"vars": {"number": number}, "in": {"$cond": [{"$isNumber": "$$number"}, checked, None]}}}

    is_text = {"$eq": [{"$type": value}, "string"]}
    text = {"$cond": [is_text, value, ""]}  # the server may compute an operand that it does not need
    as_number = {"$convert": {"input": {"$trim": {"input": text}}, "to": "decimal", "onError": None, "onNull": None}}
    is_short = {"$lte": [{"$strLenCP": text}, _LONGEST_TEXT]}
    in_text = {"$cond": [{"$and": [is_text, is_short]}, read(as_number), None]}
    return {"$cond": [{"$isNumber": value}, read(value), in_text]}


def _is_invalid(number: str, *names: str) -> Document:
    return {"$and": [{"$eq": [f"${number}", None]}, {"$ne": [_given(*names), None]}]}


def _first_invalid() -> Document:
    """An expression: the name of the first field of a usage whose value is not valid, else null."""
    fields = [(names[0], names) for names in _COUNTS] + [(name, (name,)) for name in _COSTS]
    branches: list[Document] = [
        {"case": {"$and": [_is_invalid(number, *names), {"$ne": [_given(name), None]}]}, "then": name}
        for number, names in fields
        for name in names
    ]
    # A cost beside a valid `total_cost` is not read.
    branches[-1]["case"]["$and"].append({"$eq": [f"${_COSTS[0]}", None]})
    is_any = {"$or": [_is_invalid(number, *names) for number, names in fields]}
    return {"$cond": [is_any, {"$switch": {"branches": branches, "default": None}}, None]}


def _stages() -> list[Document]:
    kept: Document = {"chat_thread_id": 1}
    is_whole = {"$eq": ["$$number", {"$trunc": "$$number"}]}
    is_readable = {"$or": [{"$eq": ["$$number", 0]}, {"$gte": ["$$number", _LEAST_COST]}]}
    parts = [{"$ifNull": [f"${names[0]}", 0]} for names in _COUNTS[:2]]
    total = {"$cond": [{"$gt": ["$total_tokens", 0]}, "$total_tokens", {"$add": parts}]}
    cost = {"$ifNull": [f"${name}" for name in _COSTS]}
    return [
        {"$project": {**kept, "usage": f"${_FIELD}"}},
        {
            "$project": {
                **kept,
                "usage": 1,
                **{names[0]: _given(*names) for names in _COUNTS},
                **{name: _given(name) for name in _COSTS},
            }
        },
        {
            "$project": {
                **kept,
                "usage": 1,
                **{names[0]: _valid(f"${names[0]}", is_whole) for names in _COUNTS},
                **{name: _valid(f"${name}", is_readable) for name in _COSTS},
            }
        },
        {
            "$group": {
                "_id": "$chat_thread_id",
                **{names[0]: {"$sum": f"${names[0]}"} for names in _COUNTS[:2]},
                "total_tokens": {"$sum": total},
                "cost": {"$sum": {"$toDecimal": cost}},
                "has_tokens": {"$max": {"$or": [{"$ne": [f"${names[0]}", None]} for names in _COUNTS]}},
                "has_cost": {"$max": {"$ne": [cost, None]}},
                "invalid": {"$max": _first_invalid()},
            }
        },
    ]


_STAGES = _stages()


# --- in memory, where the server's expressions do not exist ----------------------------------------------------------


def _sums_in_memory(messages: Iterable[Mapping[str, Any]]) -> Iterable[Document]:
    for message in messages:
        usage: Any = message
        for name in _FIELD.split("."):
            usage = usage.get(name) if isinstance(usage, dict) else None
        if not isinstance(usage, dict):
            continue
        given = [next((name for name in names if usage.get(name) is not None), None) for names in _COUNTS]
        counts = [None if name is None else _number_in(usage[name], is_whole=True) for name in given]
        invalid = [name for name, count in zip(given, counts, strict=True) if name is not None and count is None]
        cost = None
        for name in _COSTS:
            if cost is None and usage.get(name) is not None:
                cost = _number_in(usage[name], is_whole=False)
                invalid += [name] if cost is None else []
        prompt, completion, total = (None if count is None else int(count) for count in counts)
        yield {
            "_id": message["chat_thread_id"],
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": total or (prompt or 0) + (completion or 0),
            "cost": None if cost is None else Decimal128(cost),
            "has_tokens": any(count is not None for count in counts),
            "has_cost": cost is not None,
            "invalid": max(invalid, default=None),
        }


def _number_in(value: Any, *, is_whole: bool) -> Decimal | None:
    number = decimal_value(value)
    if number is None or not 0 <= number <= MOST_TOKENS:
        return None
    return number if not is_whole or number == int(number) else None
