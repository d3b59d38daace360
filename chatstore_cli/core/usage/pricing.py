"""Calculates costs from prices: per model and day, with the price of that day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum

from chatstore_cli.core.usage.running_sum import EXACT, RunningSum
from chatstore_cli.domain.prices import CostIsStored, Price, PriceTable, Unpriced, UsageToPrice
from chatstore_cli.domain.usage import KnownUsage
from chatstore_cli.domain.usage_ledger import LedgerQuery, UsageSums

_PER = Decimal(1_000_000)
"""Prices are for one million tokens."""


_MOST_NOTES = 20
_LONGEST_NAME = 100


class CostMode(StrEnum):
    """Which cost a report shows: what was stored, what prices give, or what prices give where no cost was stored."""

    STORED = "stored"
    CALCULATE = "calculate"
    AUTO = "auto"


@dataclass(slots=True)
class Pricing:
    """Calculates the costs of one report. Afterwards it has what it found no price for, and notes about prices."""

    mode: CostMode
    table: PriceTable
    unpriced: dict[tuple[str | None, str], Unpriced] = field(default_factory=dict)
    has_mixed_turns: bool = False
    has_upper_bound: bool = False
    model_notes: dict[str, str] = field(default_factory=dict)
    _prices: dict[str, tuple[Price, ...]] = field(default_factory=dict)

    def add_session(self, usage: KnownUsage | None, sums: Sequence[RunningSum]) -> None:
        """Add a session whose stored totals count, to its group and to the totals. Totals have no model, so no price."""
        if usage is None:
            return
        takes_stored = self.mode is CostMode.AUTO and usage.cost is not None
        is_missing = not takes_stored and usage._replace(cost=None).cost_is_missing
        for each in sums:
            own = each.priced
            assert own is not None
            own.note_stored(usage.cost)
            if takes_stored:
                own.add_stored(usage.cost)
            own.is_complete &= not is_missing
        if is_missing:
            self._note_unpriced(None, "counters", usage.total_tokens or 0, None)

    def add(self, part: UsageToPrice, sums: Sequence[RunningSum]) -> None:
        """Add a part of the ledger's usage to its group and to the totals."""
        price = self.price_of(part)
        calculated = None if price is None else calculated_cost(part, price)
        has_tokens = any(part.usage[:3])
        takes_stored = self.mode is CostMode.AUTO and part.stored is not CostIsStored.NO
        is_missing = has_tokens and calculated is None and not takes_stored
        is_mixed = part.stored is CostIsStored.PARTLY
        is_upper_bound = price is not None and not takes_stored and _is_upper_bound(part, price)
        for each in sums:
            own = each.priced
            assert own is not None
            own.note_stored(part.usage.cost)
            if takes_stored:
                own.add_stored(part.usage.cost)
            elif calculated is not None:
                own.add_calculated(calculated, is_upper_bound=is_upper_bound)
            if calculated is not None and part.stored is CostIsStored.YES:
                own.compare(calculated, part.usage.cost)
            own.is_complete &= not is_missing and not (is_mixed and takes_stored)
        self.has_mixed_turns |= is_mixed and takes_stored
        self.has_upper_bound |= is_upper_bound
        if is_missing:
            self._note_unpriced(part.model, "ledger", part.usage.total_tokens, part.day)
        if price is not None and price.note is not None and has_tokens and not takes_stored and part.model is not None:
            self.model_notes[part.model] = price.note

    def price_of(self, part: UsageToPrice) -> Price | None:
        """The price on the day of the usage."""
        if part.model is None or part.day is None:
            return None
        if part.model not in self._prices:
            self._prices[part.model] = tuple(self.table.prices(part.model))
        day = part.day
        return next((price for price in self._prices[part.model] if price.holds_on(day)), None)

    def notes(self) -> list[str]:
        """Sentences about what the calculation could not know."""
        notes = [f"Prices: {self.table.describe()}."]
        if self.has_upper_bound:
            notes.append(
                'A cost is "at most" an amount if it is not known how many tokens were cached: all count as not cached.'
            )
        of_models = [f"Model {_named(model)}: {note}" for model, note in self.model_notes.items()]
        of_models += map(_missing_note, self.missing_prices())
        notes += of_models[:_MOST_NOTES]
        if len(of_models) > _MOST_NOTES:
            notes.append(f"{len(of_models) - _MOST_NOTES:,} more notes about models. -o json has all of them.")
        if self.has_mixed_turns:
            notes.append(
                "Some daily sums of an earlier version cannot tell turns with a cost from others. "
                "Run chatstore usage rollup --rebuild."
            )
        return notes

    def missing_prices(self) -> list[Unpriced]:
        """The models without a price, those with the most tokens first."""
        return sorted(self.unpriced.values(), key=lambda each: (-each.tokens, each.model or "", each.source))

    def _note_unpriced(self, model: str | None, source: str, tokens: int, day: date | None) -> None:
        found = self.unpriced.setdefault((model, source), Unpriced(model, source))
        found.tokens += tokens
        if day is not None:
            found.first_day = day if found.first_day is None else min(found.first_day, day)
            found.last_day = day if found.last_day is None else max(found.last_day, day)


def models_in(ledger: UsageSums) -> list[str]:
    """The models in the ledger, in order."""
    if not ledger.is_used():
        return []
    names = (group.group[0] for group in ledger.groups(LedgerQuery(("model",))))
    return sorted({name for name in names if name is not None})


def price_all(ledger: UsageSums, pricing: Pricing) -> int:
    """Look up a price for all usage in the ledger. Returns how many models have one on all of their days."""
    if not ledger.is_used():
        return 0
    models: set[str | None] = set()
    for part in ledger.to_price(LedgerQuery(())):
        models.add(part.model)
        pricing.add(part, ())
    return len(models - {each.model for each in pricing.missing_prices()} - {None})


def _named(model: str) -> str:
    """A model as a sentence names it: another writer may have stored a text of any length."""
    return (model if len(model) <= _LONGEST_NAME else f"{model[:_LONGEST_NAME]}…") or "''"


def _missing_note(each: Unpriced) -> str:
    if each.source == "counters":
        reason = "the stored totals of sessions have no model"
    else:
        reason = "no model is stored" if each.model is None else "no price is known on the days of this usage"
    of_model = "" if each.model is None else f" of model {_named(each.model)}"
    return f"No cost was calculated for {each.tokens:,} tokens{of_model}: {reason}."


def calculated_cost(part: UsageToPrice, price: Price) -> Decimal:
    """The cost of usage at a price. Without a number of cached tokens, no token counts as cached."""
    prompt = part.usage.prompt_tokens
    cached = min(part.details.cached_tokens or 0, prompt) if price.cached is not None else 0
    amounts = (
        EXACT.multiply(price.input, Decimal(prompt - cached)),
        EXACT.multiply(price.cached or Decimal(), Decimal(cached)),
        EXACT.multiply(price.output, Decimal(part.usage.completion_tokens)),
    )
    total = Decimal()
    for amount in amounts:
        total = EXACT.add(total, amount)
    return EXACT.divide(total, _PER)


def _is_upper_bound(part: UsageToPrice, price: Price) -> bool:
    """Whether cached tokens are unknown and would have cost less."""
    return part.cached_is_unknown and price.cached is not None and price.cached < price.input
