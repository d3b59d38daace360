"""The user's file of prices: its entries, their order, and errors with the line."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from chatstore_cli.config.settings import UsageSettings
from chatstore_cli.domain.errors import BadConfig
from chatstore_cli.prices.overrides import PriceOverrides
from chatstore_cli.wiring.prices import price_table

FILE = """\
currency: EUR
prices:
  - models: [Our-*, "gpt-4o"]
    input: 0.10
    output: 30
    cached: 0.010000000000000001
    until: 2026-10-19
  - models: our-*
    input: 5
    output: 6
    from: 2026-10-01
"""
MINIMAL = "prices:\n  - {models: gpt-4o, input: 1, output: 2}\n"


def write(folder: Path, text: str | bytes) -> str:
    path = folder / "prices.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def test_the_first_entry_that_fits_model_and_day_counts_and_amounts_are_exact(tmp_path: Path) -> None:
    table = PriceOverrides(write(tmp_path, FILE), "EUR")
    first, second = table.prices("OUR-model-1")
    assert (first.input, first.cached) == (Decimal("0.10"), Decimal("0.010000000000000001"))
    assert [first.holds_on(date(2026, 10, day)) for day in (1, 19, 20)] == [True, True, False]
    assert (second.input, second.cached, second.currency) == (5, None, "EUR")
    assert len(table.prices("gpt-4o")) == 1
    assert table.prices("gpt-4o-mini") == ()


def test_the_file_has_precedence_over_the_package_and_is_alone_in_another_currency(tmp_path: Path) -> None:
    both = price_table(UsageSettings(prices_file=write(tmp_path, MINIMAL)))
    assert [price.input for price in both.prices("gpt-4o")] == [1, Decimal("2.5")]
    assert [price.input for price in both.prices("gpt-4o-mini")] == [Decimal("0.15")]
    alone = price_table(UsageSettings(currency="CHF", prices_file=write(tmp_path, MINIMAL)))
    assert [price.currency for price in alone.prices("gpt-4o")] == ["CHF"]
    assert list(alone.prices("gpt-4o-mini")) == []


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "it is empty"),
        ("- a", "line 1: the file is not a mapping"),
        ("currency: USD", "line 1: the key prices is missing"),
        ("currency: eur\nprices: []", "line 1: the currency is EUR, but chatstore.usage.currency is USD"),
        ("prices: 5", "line 1: prices is not a list"),
        ("prices:\n  - 5", "line 2: an entry of prices is not a mapping"),
        ("prices:\n\n  - models: a\n    output: 1", "line 3: the key input is missing"),
        ("prices:\n  - models: []\n    input: 1\n    output: 1", "line 2: models is empty"),
        ("prices:\n  - models: {a: b}\n    input: 1\n    output: 1", "line 2: models is not a list"),
        ("prices:\n  - models: a\n    input: -1\n    output: 1", "line 3: input is not an amount"),
        ("prices:\n  - models: a\n    input: .nan\n    output: 1", "line 3: input is not an amount"),
        ("prices:\n  - models: a\n    input: 1e3\n    output: 1", "line 3: input is not an amount"),
        ("prices:\n  - models: a\n    input: 1\n    output: 9999999999", "line 4: output is not an amount"),
        ("prices:\n  - models: a\n    input: 1\n    output: 1\n    cached:", "line 5: cached is not an amount"),
        ("prices:\n  - models: a\n    input: 1\n    output: 1\n    from: 2026-02-30", "line 5: from is not a date"),
        (
            "prices:\n  - models: a\n    input: 1\n    output: 1\n    from: 2026-10-02\n    until: 2026-10-01",
            "line 6: until",
        ),
        ("prices:\n  - models: a\n    input: 1\n    inptu: 1\n    output: 1", "line 4: unknown key 'inptu'"),
        ("prices:\n  - models: a\n    input: 1\n    input: 1\n    output: 1", "line 4: the key input is there twice"),
        ("prices:\n  - models: a\n    input: [1]\n    output: 1", "line 3: input is not an amount"),
        ("prices: [\n", "line 2: not YAML"),
        ("prices: *nobody", "line 1: not YAML"),
        ("a: 1\n---\nb: 2", "line 2: not YAML"),
        ("? [a]\n: 1", "line 1: unknown key '[]'"),
        (b"prices: \n\xff\xfe", "line 2: not UTF-8"),
        ("x" * (1 << 21), "more than 1 MiB"),
        ("[" * 1_100, "inside each other"),
    ],
)
def test_an_error_in_the_file_has_its_line(tmp_path: Path, text: str | bytes, error: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(BadConfig) as raised:
        PriceOverrides(path, "USD")
    assert error in raised.value.message
    assert path in raised.value.message


def test_a_file_that_cannot_be_read_is_named_with_its_setting(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.yaml", tmp_path):
        with pytest.raises(BadConfig, match=r"chatstore.usage.prices_file \(.*\): cannot be read"):
            PriceOverrides(str(path), "USD")
