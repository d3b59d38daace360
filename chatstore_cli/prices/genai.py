"""The prices of the package genai-prices, which it brings along: nothing is fetched."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import genai_prices
from genai_prices.data_snapshot import DataSnapshot
from genai_prices.types import ConditionalPrice, ModelPrice, StartDateConstraint, TieredPrices

from chatstore_cli.domain.prices import Price

CURRENCY = "USD"
_LONGEST_NAME = 300

_TIERS = "requests with a long prompt cost more. The price of short ones is used for all."
_HOURS = "the price depends on the time of day. The one without such a condition is used."


class GenaiPrices:
    """The PriceTable of genai-prices. A model may have the prefix of its provider, such as `azure/gpt-4o`."""

    def __init__(self) -> None:
        from genai_prices.data import providers

        self._snapshot = DataSnapshot(providers=providers, from_auto_update=False)

    def describe(self) -> str:
        return f"genai-prices {genai_prices.__version__}"

    def prices(self, model: str) -> Sequence[Price]:
        if not 0 < len(model) <= _LONGEST_NAME:
            return ()
        prefixed = "litellm" if "/" in model else None  # the way in which LiteLLM names the provider
        try:
            provider, found = self._snapshot.find_provider_model(model, None, prefixed, None)
        except LookupError:
            return ()
        dated, depends_on_hours = _dated(found.prices)
        note = _HOURS if depends_on_hours else None
        name = f"{provider.id}/{found.id}"
        ends = [since - timedelta(days=1) if since is not None else None for since, _ in dated[1:]]
        prices = (
            self._price(each, name, since, until, note)
            for (since, each), until in zip(dated, [*ends, None], strict=True)
        )
        return tuple(price for price in prices if price is not None)

    def _price(
        self, price: ModelPrice, name: str, since: date | None, until: date | None, note: str | None
    ) -> Price | None:
        """The amounts that a number of tokens is multiplied with. None if the provider counts something else."""
        amounts = [getattr(price, key) for key in ("input_mtok", "output_mtok", "cache_read_mtok")]
        if any(isinstance(amount, TieredPrices) for amount in amounts):
            note = note or _TIERS
        each, output, cached = (_base(amount) for amount in amounts)
        if each is None:
            return None
        return Price(each, output or Decimal(), cached, CURRENCY, self.describe(), name, since, until, note)


def _dated(prices: ModelPrice | list[ConditionalPrice]) -> tuple[list[tuple[date | None, ModelPrice]], bool]:
    """The prices, which the package has in the order of their first days, and whether others hold at some hours."""
    if isinstance(prices, ModelPrice):
        return [(None, prices)], False
    dated = [
        (None if each.constraint is None else each.constraint.start_date, each.prices)
        for each in prices
        if each.constraint is None or isinstance(each.constraint, StartDateConstraint)
    ]
    return dated, len(dated) < len(prices)


def _base(amount: Any) -> Decimal | None:
    return amount.base if isinstance(amount, TieredPrices) else amount
