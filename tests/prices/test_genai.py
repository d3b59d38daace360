"""The prices of genai-prices: dated, exact, and read without a connection."""

from __future__ import annotations

import socket
import sys
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import genai_prices
import pytest
from genai_prices.data import providers
from genai_prices.data_snapshot import DataSnapshot
from genai_prices.types import ConditionalPrice, StartDateConstraint, TimeOfDateConstraint

from chatstore_cli.config.settings import UsageSettings
from chatstore_cli.core.usage.pricing import calculated_cost
from chatstore_cli.domain.errors import WrongUse
from chatstore_cli.domain.prices import CostIsStored, UsageToPrice
from chatstore_cli.domain.usage import TokenDetails, Usage
from chatstore_cli.prices.genai import GenaiPrices
from chatstore_cli.wiring.prices import price_table


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a price was asked from the network")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)


@pytest.mark.parametrize("model", ["gpt-4o", "GPT-4o-2024-08-06", "azure/gpt-4o", "openai/gpt-4o"])
def test_a_model_is_found_under_the_names_that_applications_report(model: str) -> None:
    [price] = GenaiPrices().prices(model)
    assert (price.input, price.output, price.cached, price.currency) == (
        Decimal("2.5"), Decimal(10), Decimal("1.25"), "USD"
    )  # fmt: skip


@pytest.mark.parametrize(
    "model", ["", "our-own-7b", "x" * 5_000, "/", "nobody/gpt-nothing", "\x00", "mistral-ocr-latest"]
)
def test_a_model_without_a_price_for_tokens_has_none(model: str) -> None:
    assert list(GenaiPrices().prices(model)) == []


def test_prices_follow_each_other_without_gap_and_equal_those_of_the_package() -> None:
    table = GenaiPrices()
    compared = 0
    for provider in providers:
        for model in provider.models:
            if not isinstance(model.prices, list) or len(model.prices) < 2:
                continue
            prices = table.prices(f"{provider.id}/{model.id}")
            if not prices or prices[0].model != f"{provider.id}/{model.id}":
                continue
            if any(isinstance(each.constraint, TimeOfDateConstraint) for each in model.prices):
                assert "time of day" in (prices[0].note or "")
                continue
            compared += 1
            for earlier, later in pairwise(prices):
                assert earlier.until is not None
                assert later.since == earlier.until + timedelta(days=1)
            for day in _days(model.prices):
                expected = model.get_prices(_noon(day)).input_mtok
                [held] = [price for price in prices if price.holds_on(day)]
                assert held.input == getattr(expected, "base", expected), (model.id, day)
    assert compared > 100


def _days(prices: list[ConditionalPrice]) -> list[date]:
    starts = [each.constraint.start_date for each in prices if isinstance(each.constraint, StartDateConstraint)]
    return [start + timedelta(days=shift) for start in starts for shift in (-1, 0, 1)]


def _noon(day: date) -> Any:
    from datetime import UTC, datetime, time

    return datetime.combine(day, time(12), UTC)


@pytest.mark.parametrize(
    "model", ["gpt-4o", "claude-sonnet-4-20250514", "mistral-large-4", "o3", "groq/llama-3.1-8b-instant"]
)
@pytest.mark.parametrize("cached", [None, 0, 400_001])
def test_a_calculated_cost_is_the_one_that_the_package_calculates(model: str, cached: int | None) -> None:
    """mistral-large-4 changes its price on the day between the two."""
    for day in (date(2026, 10, 19), date(2026, 10, 20)):
        usage = Usage(1_000_003, 70_007, 1_070_010)
        part = UsageToPrice((), model, day, usage, TokenDetails(cached), cached is None, CostIsStored.NO)
        price = next(price for price in GenaiPrices().prices(model) if price.holds_on(day))
        theirs = genai_prices.Usage(input_tokens=1_000_003, output_tokens=70_007, cache_read_tokens=cached)
        snapshot = DataSnapshot(providers=providers, from_auto_update=False)
        expected = snapshot.calc(theirs, model, "litellm" if "/" in model else None, None, _noon(day))
        assert calculated_cost(part, price) == expected.total_price


def test_a_price_that_depends_on_the_length_of_a_request_has_a_note() -> None:
    [price] = GenaiPrices().prices("gemini-2.5-pro")
    assert (price.input, price.note) == (
        Decimal("1.25"), "requests with a long prompt cost more. The price of short ones is used for all."
    )  # fmt: skip


def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    monkeypatch.delitem(sys.modules, "chatstore_cli.prices.genai", raising=False)
    with pytest.raises(WrongUse, match="requires the package genai-prices") as error:
        price_table(UsageSettings())
    assert error.value.hint == "Run pip install 'chatstore-cli[prices]'."
    with pytest.raises(WrongUse, match=r"in USD, but chatstore.usage.currency is EUR"):
        price_table(UsageSettings(currency="EUR"))
