"""Rows of the usage ledger: their indexes, which ones can be counted, how a row is stored, and how it is read back."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import Any

from bson import Decimal128

from chatstore_cli.domain.foreign import OwnKind
from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.domain.times import as_utc
from chatstore_cli.domain.usage import Usage
from chatstore_cli.domain.usage_ledger import MOST_TOKENS, LedgerRow, UsageSnapshot
from chatstore_cli.mongo.bson_values import decimal_value, whole_number
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.identifiers import id_text
from chatstore_cli.mongo.ledger_layouts import FIRST
from chatstore_cli.mongo.own_documents import OwnDocuments, has_all
from chatstore_cli.mongo.session_documents.counter_places import COUNTS, DECIMAL128

OWN_ROWS = OwnDocuments(OwnKind("a row", "rows", "the usage ledger"), has_all("chat_id", "run"))
OWN_DAILY_SUMS = OwnDocuments(OwnKind("a daily sum", "daily sums", "the usage ledger"), has_all("days"))
OWN_EXPORTS = OwnDocuments(OwnKind("an export", "exports", "the usage ledger"), has_all("row_ids"))

FIRST_MOMENT, LAST_MOMENT = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, tzinfo=UTC)
"""A BSON date may lie outside the years that Python has. Such a row has no time."""

HAS_TIME: Document = {"$and": [{"$gte": ["$at", FIRST_MOMENT]}, {"$lte": ["$at", LAST_MOMENT]}]}
"""An expression: the types before and after dates compare as less and greater."""

_IS_COUNT = [
    # $isNumber first: $trunc fails for other types, and the server does not always compare MinKey as less than a number.
    test
    for name in COUNTS
    for test in (
        {"$isNumber": f"${name}"},
        {"$gte": [f"${name}", 0]},
        {"$lte": [f"${name}", MOST_TOKENS]},
        {"$eq": [f"${name}", {"$trunc": f"${name}"}]},
    )
]
IS_COUNTABLE: Document = {"$and": [*_IS_COUNT, *HAS_TIME["$and"]]}
"""An expression: every token count is a whole number from 0 to MOST_TOKENS, and `at` is a time. See `row_of`."""

COUNTABLE: Document = {"$expr": IS_COUNTABLE}
"""The same as a filter."""

NOT_ABOVE_A_COST: Document = {"$cond": [{"$lte": ["$cost", MOST_TOKENS]}, "$cost", None]}
"""The cost of a row, null if it compares as more than any cost: a larger number, a text, a list.

Otherwise one such row would be the highest cost of its client and hide the valid ones.
"""

_LEAST_COST = Decimal128("1E-60")
IS_COST: Document = {
    "$and": [
        {"$isNumber": "$cost"},
        {"$or": [{"$eq": ["$cost", 0]}, {"$gte": ["$cost", _LEAST_COST]}]},
        {"$lte": ["$cost", MOST_TOKENS]},
    ]
}
"""An expression: the cost is an amount. See `row_usage`."""

DETAILS = ("cached_tokens", "reasoning_tokens")
"""The parts of token counts. A row has both, one of them possibly null, or neither: older versions stored one alone."""

HAS_DETAILS: Document = {"cached_tokens": {"$exists": True}}
"""A filter: rows with cached tokens, reasoning tokens, or both."""

DETAILS_INDEX = "token_details_idx"

IS_DETAIL: dict[str, Document] = {
    name: {
        "$and": [
            {"$isNumber": f"${name}"},
            {"$gte": [f"${name}", 0]},
            {"$lte": [f"${name}", MOST_TOKENS]},
            {"$eq": [f"${name}", {"$trunc": f"${name}"}]},
        ]
    }
    for name in DETAILS
}
"""Expressions: the detail is a whole number from 0 to MOST_TOKENS. Otherwise it is unknown."""

UNAPPLIED: Document = {"applied": False}
"""A filter: rows that their session's counters may not include yet. There are few at any time."""

EXPORTED_BEFORE: Document = {
    "$cond": [{"$gt": ["$exported_in", 0]}, {"$multiply": ["$exported_in", -1]}, "$exported_in"]
}
"""An expression: the batch in which a row was exported, negative, so that it is exported again in a later one."""

_EXACT = Context(prec=2_000)
_NO_RUN = -1
"""The run of a row without a valid one: 0 is the run of the opening balance."""

_NO_TIME = datetime(1, 1, 1, tzinfo=UTC)


def usage_index_specs(rows: str, daily_sums: str) -> tuple[IndexSpec, ...]:
    """The indexes of the ledger in the collection `rows`, and of the collection of its daily sums."""
    session = (("chat_id", 1), ("run", 1), ("agent", 1), ("model", 1), ("at", 1))
    return (
        IndexSpec(rows, "chat_usage_idx", session, why="a session's usage"),
        IndexSpec(rows, "at_idx", (("at", 1),), why="usage within a time span"),
        IndexSpec(rows, "rolled_up_idx", (("rolled_up", 1), ("chat_id", 1)), why="rows that are in no daily sum yet"),
        IndexSpec(
            rows,
            DETAILS_INDEX,
            (("cached_tokens", 1),),
            partial_filter=HAS_DETAILS,
            why="whether any row has cached or reasoning tokens",
        ),
        IndexSpec(rows, "exported_idx", (("exported_in", 1), ("_id", 1)), why="rows that are in no export yet"),
        IndexSpec(
            rows,
            "unapplied_idx",
            (("chat_id", 1),),
            partial_filter=UNAPPLIED,
            why="rows that a session's counters may not include yet",
        ),
        IndexSpec(daily_sums, "days_idx", (("last_day", 1), ("first_day", 1)), why="daily sums within a time span"),
    )


def row_usage(row: Document) -> Usage:
    """The numbers of a row, or of a sum of rows. An invalid count is 0, an invalid cost is unknown; a text is invalid."""
    counts = (_count(row.get(name)) for name in COUNTS)
    prompt, completion, total = (0 if count is None else count for count in counts)
    cost = decimal_value(row["cost"]) if not isinstance(row.get("cost"), str | None) else None
    return Usage(prompt, completion, total, cost if cost is not None and 0 <= cost <= MOST_TOKENS else None)


def document_of(row_id: str, snapshot: UsageSnapshot, layout: str) -> Document:
    """A row to be stored. The session's counters do not include it yet."""
    # The first is in an index, by which a report learns whether any row has details: see `usage_index_specs`.
    details = {"cached_tokens": snapshot.cached_tokens, "reasoning_tokens": snapshot.reasoning_tokens}
    return {
        "_id": row_id,
        "event_id": snapshot.event_id,
        **({} if snapshot.turn_id is None else {"turn_id": snapshot.turn_id}),
        **({} if layout == FIRST else {"layout": layout}),
        "chat_id": snapshot.chat_id,
        "run": snapshot.run,
        "tenant_id": snapshot.tenant_id,
        "user_id": snapshot.user_id,
        "workflow": snapshot.workflow,
        "agent": snapshot.agent,
        "model": snapshot.model,
        "prompt_tokens": snapshot.prompt_tokens,
        "completion_tokens": snapshot.completion_tokens,
        **(details if any(count is not None for count in details.values()) else {}),
        "total_tokens": snapshot.total_tokens,
        "cost": None if snapshot.cost is None else Decimal128(DECIMAL128.plus(snapshot.cost)),
        **({} if snapshot.seconds is None else {"duration_sec": snapshot.seconds}),
        "at": snapshot.at,
        "applied": False,
    }


def row_of(chat_id: str, document: Document) -> LedgerRow:
    """A stored row, with any values in its fields."""
    instant = document.get("at")
    problem = None
    if any(_count(document.get(name)) is None for name in COUNTS):
        problem = f"a token count is missing, or is not a whole number from 0 to {MOST_TOKENS:,}"
    elif not isinstance(instant, datetime) or not FIRST_MOMENT <= as_utc(instant) <= LAST_MOMENT:
        problem = "the row has no valid time"
    counted = row_usage(document)
    snapshot = UsageSnapshot(
        event_id=_text(document.get("event_id")),
        chat_id=chat_id,
        run=_NO_RUN if (run := whole_number(document.get("run"))) is None else run,
        tenant_id=_text(document.get("tenant_id")),
        user_id=_text(document.get("user_id")),
        workflow=_text(document.get("workflow")),
        agent=_text(document.get("agent")),
        model=_text(document.get("model")),
        prompt_tokens=counted.prompt_tokens,
        completion_tokens=counted.completion_tokens,
        total_tokens=counted.total_tokens,
        at=as_utc(instant) if isinstance(instant, datetime) else _NO_TIME,
        cached_tokens=_count(document.get("cached_tokens")),
        reasoning_tokens=_count(document.get("reasoning_tokens")),
        cost=counted.cost,
        turn_id=_text(document.get("turn_id")),
        seconds=_seconds(document.get("duration_sec")),
    )
    client = tuple(_as_grouped(document, name) for name in ("layout", "run", "agent", "model", "turn_id"))
    return LedgerRow(id_text(document["_id"]), snapshot, document.get("applied") is True, client, problem)


def _as_grouped(document: Document, name: str) -> str:
    """A text that is equal for two values if `$group` takes them for equal: 1 and 1.0 are, null and a missing one are not."""
    if name not in document:
        return ""
    value = document[name]
    if isinstance(value, int | float | Decimal128) and not isinstance(value, bool):
        number = value.to_decimal() if isinstance(value, Decimal128) else Decimal(value)
        if number.is_nan() or not number:
            return "number NaN" if number.is_nan() else "number 0"
        return f"number {number.normalize(_EXACT)}"
    return f"{type(value).__name__} {value!r}"


def _count(value: Any) -> int | None:
    number = whole_number(value)
    return number if number is not None and 0 <= number <= MOST_TOKENS else None


def _seconds(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text(value: Any) -> str | None:
    return None if value is None else id_text(value)
