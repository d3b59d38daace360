"""What reports print about prices and budgets, and the rows of `usage prices`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from chatstore_cli.domain.budgets import BudgetCheck
from chatstore_cli.domain.prices import Price, Unpriced
from chatstore_cli.domain.usage import UsageRow
from chatstore_cli.render.listing import Column, count
from chatstore_cli.render.rows.sessions import decimal_text
from chatstore_cli.render.rows.usage import amount, usage_sources_row, usage_totals_row

if TYPE_CHECKING:
    from chatstore_cli.domain.periods import Period

_MOST_NAMED = 20
_LONGEST_NAME = 100


def prices_row(mode: str, source: str, unpriced: Sequence[Unpriced], notes: Mapping[str, str]) -> dict[str, Any]:
    """How costs were calculated, what has no price, and the models whose price depends on more than the day."""
    return {
        "mode": mode,
        "source": source,
        "unpriced": [unpriced_row(each) for each in unpriced],
        "notes": [{"model": model, "note": note} for model, note in notes.items()],
    }


PERIOD_COLUMNS = (
    Column("currency", "CURRENCY", in_table=False),
    Column("period.since", "SINCE", in_table=False),
    Column("period.until", "UNTIL", in_table=False),
    Column("period.timezone", "TIME ZONE", in_table=False),
)
"""The columns that CSV has after the others, because it has nothing beside its rows."""


def period_row(period: Period, currency: str) -> dict[str, Any]:
    """The currency and the period of a report, for each row of a format that has no keys beside its rows."""
    return {"currency": currency, "period": period.to_dict()}


def beside_usage(totals: UsageRow, period: Period, currency: str, digits: int | None) -> dict[str, Any]:
    """What JSON has beside the rows of a report. Costs are rounded to `digits`; None is not rounded."""
    beside: dict[str, Any] = {
        "period": period.to_dict(),
        "currency": currency,
        "totals": usage_totals_row(totals, digits),
        "sources": usage_sources_row(totals),
    }
    if digits is not None:
        beside["rounded"] = {"digits": digits, "half": "even"}
    return beside


def unpriced_row(each: Unpriced) -> dict[str, Any]:
    """Tokens without a price: of a model in the ledger, or of stored totals (`source` counters)."""
    return {
        "model": each.model,
        "source": each.source,
        "total_tokens": each.tokens,
        "first_day": _day(each.first_day),
        "last_day": _day(each.last_day),
    }


def budget_row(check: BudgetCheck, per: str, digits: int | None) -> dict[str, Any]:
    """The groups over a budget per tenant (or what else `per` names), and the others whose cost is not completely known."""
    over = [
        {
            **each.row.group,
            "cost": amount(each.cost, digits),
            "over_by": amount(each.over_by, digits),
            "cost_complete": each.row.cost_is_complete,
            "cost_upper_bound": _is_upper_bound(each.row),
        }
        for each in check.over
    ]
    unknown = [{**row.group, "cost": amount(row.usage.cost, digits)} for row in check.unknown]
    return {"limit": decimal_text(check.limit), "per": per, "over": over, "unknown": unknown}


def budget_notes(check: BudgetCheck, currency: str, digits: int | None) -> Iterator[str]:
    """A sentence for each group over the budget, and one about costs that are not known."""
    limit = f"{decimal_text(check.limit)} {currency}"
    for each in check.over[:_MOST_NAMED]:
        by, cost = (amount(value, digits) for value in (each.over_by, each.cost))
        yield f"Over the budget of {limit}: {_name(each.row)}, by {_bound(each.row)}{by} {currency} ({cost} {currency})."
    if len(check.over) > _MOST_NAMED:
        yield f"{len(check.over) - _MOST_NAMED:,} more are over the budget. -o json has all of them."
    if not check.over:
        yield f"No known cost is over the budget of {limit}."
    if check.unknown:
        names = ", ".join(_name(row) for row in check.unknown[:_MOST_NAMED])
        more = f" and {len(check.unknown) - _MOST_NAMED:,} more" if len(check.unknown) > _MOST_NAMED else ""
        yield f"Part of the cost is unknown, so these may be over the budget too: {names}{more}."


def _bound(row: UsageRow) -> str:
    """What the known cost says about the real one."""
    is_upper = _is_upper_bound(row)
    if row.cost_is_complete:
        return "at most " if is_upper else ""
    return "about " if is_upper else "at least "


def _is_upper_bound(row: UsageRow) -> bool:
    return row.pricing is not None and row.pricing.is_upper_bound


def _name(row: UsageRow) -> str:
    """The group as a sentence names it, such as `tenant acme`."""
    return ", ".join(f"{key.removesuffix('_id')} {_shown(value)}" for key, value in row.group.items())


def _shown(value: str | None) -> str:
    if value is None:
        return "(none)"
    return (value if len(value) <= _LONGEST_NAME else f"{value[:_LONGEST_NAME]}…") or "''"


def price_row(model: str, price: Price | None) -> dict[str, Any]:
    """A price of a model, for one million tokens. Without a price, all but the model is null."""
    if price is None:
        return dict.fromkeys(_PRICE_KEYS) | {"model": model}
    amounts = {name: _amount(getattr(price, name)) for name in ("input", "output", "cached")}
    return {
        "model": model,
        "listed_as": price.model,
        **amounts,
        "currency": price.currency,
        "first_day": _day(price.since),
        "last_day": _day(price.until),
        "source": price.source,
        "note": price.note,
    }


_PRICE_KEYS = (
    "model", "listed_as", "input", "output", "cached", "currency", "first_day", "last_day", "source", "note",
)  # fmt: skip


def _amount(value: Decimal | None) -> str | None:
    return decimal_text(value)


def _day(value: date | None) -> str | None:
    return None if value is None else value.isoformat()


def _any(word: str) -> Any:
    return lambda value: word if value is None else str(value)


PRICE_COLUMNS = (
    Column("model", "MODEL", narrowest=12),
    Column("listed_as", "LISTED AS", spare=3),
    Column("input", "INPUT / 1M", align="right", show=_any("unknown")),
    Column("output", "OUTPUT / 1M", align="right", show=_any("unknown")),
    Column("cached", "CACHED / 1M", align="right", show=_any("-"), spare=2),
    Column("currency", "CURRENCY", show=_any("-"), whole=True),
    Column("first_day", "FIRST DAY (UTC)", show=_any("-"), whole=True),
    Column("last_day", "LAST DAY (UTC)", show=_any("-"), whole=True),
    Column("source", "SOURCE", show=_any("-"), spare=1),
    Column("note", "NOTE", in_table=False),
)
CHECK_COLUMNS = (
    Column("model", "MODEL WITHOUT PRICE", show=_any("(none)"), narrowest=12),
    Column("source", "SOURCE", in_table=False),
    Column("total_tokens", "TOKENS", align="right", show=count),
    Column("first_day", "FIRST DAY (UTC)", show=_any("-"), whole=True),
    Column("last_day", "LAST DAY (UTC)", show=_any("-"), whole=True),
)
