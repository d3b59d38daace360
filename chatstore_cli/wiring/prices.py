"""Prices: the file of the user, then the package genai-prices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from chatstore_cli.domain.errors import WrongUse

if TYPE_CHECKING:
    from chatstore_cli.config.settings import UsageSettings
    from chatstore_cli.domain.prices import Price, PriceTable
    from chatstore_cli.prices.overrides import PriceOverrides

LIST_CURRENCY = "USD"
"""The currency of genai-prices."""


class _Several:
    """The PriceTable of several ones. A price of an earlier one has precedence."""

    def __init__(self, tables: Sequence[PriceTable]) -> None:
        self._tables = tables

    def prices(self, model: str) -> Sequence[Price]:
        return [price for table in self._tables for price in table.prices(model)]

    def describe(self) -> str:
        return ", then ".join(table.describe() for table in self._tables)


def price_overrides(settings: UsageSettings) -> PriceOverrides | None:
    """The prices in chatstore.usage.prices_file; None without a file. Raises BadConfig with the line of an error."""
    from chatstore_cli.prices.overrides import PriceOverrides

    return None if settings.prices_file is None else PriceOverrides(settings.prices_file, settings.currency)


def price_table(settings: UsageSettings) -> PriceTable:
    """All prices in the currency of reports.

    genai-prices has prices in US dollars only. For another currency the file is used alone. Raises WrongUse if there are
    no prices: the extra is missing, or there is no file for another currency.
    """
    overrides = price_overrides(settings)
    if settings.currency != LIST_CURRENCY:
        if overrides is None:
            raise WrongUse(
                what=f"The prices of genai-prices are in {LIST_CURRENCY}, but chatstore.usage.currency is {settings.currency}.",
                hint=f"Set chatstore.usage.prices_file to a file with prices in {settings.currency}.",
            )
        return overrides
    listed = _listed_prices()
    return listed if overrides is None else _Several([overrides, listed])


def _listed_prices() -> PriceTable:
    try:
        from chatstore_cli.prices.genai import GenaiPrices
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("genai_prices", ""):
            raise
        raise WrongUse(
            what="Calculating costs requires the package genai-prices.",
            hint="Run pip install 'chatstore-cli[prices]'.",
        ) from error
    return GenaiPrices()
