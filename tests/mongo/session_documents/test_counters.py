"""The counters in a session's document: alternatives are not added up, and what cannot be right is unknown."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from bson import Decimal128, Int64

from chatstore_cli.domain.usage import UNKNOWN_USAGE, KnownUsage
from chatstore_cli.domain.usage_ledger import MOST_TOKENS
from chatstore_cli.mongo.session_documents.counters import counters_of

TOKENS = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "total_cost": 0.1}
MODEL = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "cost": 0.1}
FLAT = {f"usage_{name}_final": value for name, value in TOKENS.items()}
COUNTED = KnownUsage(3, 2, 5, Decimal("0.1"))
NOTHING_PAID = KnownUsage(0, 0, 0, Decimal())
ZEROS = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "total_cost": 0.0}

INCLUDING = {"total_cost": 0.5, "model-a": {**MODEL, "total_tokens": 3180}}
EXCLUDING = {
    "total_cost": 0.4,
    "model-a": {**MODEL, "prompt_tokens": 2600, "completion_tokens": 60, "total_tokens": 2660},
}
PAID = KnownUsage(2600, 60, 2660, Decimal("0.4"))
AG2 = {"usage_including_cached_inference": INCLUDING, "usage_excluding_cached_inference": EXCLUDING}
AG2_WITHOUT_COST = {**AG2, "usage_excluding_cached_inference": {"total_cost": 0}}


def counters(**fields: Any) -> KnownUsage:
    return counters_of(fields, [])


def invalid(**fields: Any) -> list[str]:
    found: list[str] = []
    counters_of(fields, found)
    return found


@pytest.mark.parametrize(
    ("fields", "usage"),
    [
        ({"real_time_tracking": {"tokens": TOKENS}}, COUNTED),
        ({"token_usage": TOKENS}, COUNTED),
        ({"usage_summary": {"raw": TOKENS}}, COUNTED),
        (FLAT, COUNTED),
        ({"real_time_tracking": {"tokens": ZEROS}, **FLAT}, COUNTED),
        ({"token_usage": {**TOKENS, "total_cost": None}, **FLAT}, COUNTED),
        ({"token_usage": {**TOKENS, "total_cost": None}}, KnownUsage(3, 2, 5)),
        ({"token_usage": {"prompt_tokens": 3, "completion_tokens": 2}}, KnownUsage(3, 2, 5)),
        ({"token_usage": {"input_tokens": 3, "output_tokens": 2}}, KnownUsage(3, 2, 5)),
        ({"token_usage": {"input_tokens": 9, "prompt_tokens": 3, "total_tokens": 3}}, KnownUsage(3, 0, 3)),
        ({"token_usage": {"total_cost": 0.1}}, KnownUsage(cost=Decimal("0.1"))),
        ({"token_usage": {name: str(value) for name, value in TOKENS.items()}}, COUNTED),
        ({"token_usage": {"prompt_tokens": " 3 ", "completion_tokens": "2.0", "total_tokens": "5E0"}}, KnownUsage(3, 2, 5)),
        ({"token_usage": {**TOKENS, "total_tokens": Int64(5), "prompt_tokens": 3.0}}, COUNTED),
        ({"token_usage": {**TOKENS, "completion_tokens": Decimal128("2")}}, COUNTED),
        ({"token_usage": {**TOKENS, "total_cost": Decimal128("0.00010")}}, KnownUsage(3, 2, 5, Decimal("0.0001"))),
    ],
)  # fmt: skip
def test_counters_are_read_from_every_place_and_form(fields: dict[str, Any], usage: KnownUsage) -> None:
    assert counters(**fields) == usage
    assert invalid(**fields) == []


@pytest.mark.parametrize("place", ["real_time_tracking.tokens", "token_usage", "usage_summary.raw"])
@pytest.mark.parametrize(
    ("stored", "usage"),
    [
        (AG2, PAID),
        (AG2_WITHOUT_COST, NOTHING_PAID),
        ({**AG2, "usage_excluding_cached_inference": None}, NOTHING_PAID),
        ({"usage_including_cached_inference": EXCLUDING}, PAID),
        ({**AG2, "total_cost": 9, "model-b": MODEL}, PAID),
        ({name: {"total_cost": 0} for name in AG2}, UNKNOWN_USAGE),
        ({"actual_usage_summary": EXCLUDING, "total_usage_summary": INCLUDING}, PAID),
        ({"actual_usage_summary": None, "total_usage_summary": INCLUDING}, NOTHING_PAID),
        (
            {
                "actual": {"usages": [{**MODEL, "model": "a"}, {**MODEL, "model": "b"}], "total_cost": 0.2},
                "total": {"usages": [{**MODEL, "model": "a", "total_tokens": 99}], "total_cost": 0.9},
                "mode": "both",
            },
            KnownUsage(6, 4, 10, Decimal("0.2")),
        ),
        ({"actual": {"usages": None, "total_cost": None}, "total": {"usages": [MODEL]}}, NOTHING_PAID),
        ({"total_cost": 0.2, "models": {"a": MODEL, "b": MODEL}}, KnownUsage(6, 4, 10, Decimal("0.2"))),
        ({"total_cost": 0.3, "model-a": MODEL, "model-b": TOKENS}, KnownUsage(6, 4, 10, Decimal("0.3"))),
        ({"usages": [MODEL, MODEL]}, KnownUsage(6, 4, 10, Decimal("0.2"))),
        ({"total": TOKENS, "model-a": MODEL, "model-b": MODEL}, COUNTED),
        ({"usage": TOKENS, "usage_metadata": {"input_tokens": 3, "output_tokens": 2}}, COUNTED),
        ({"usage": {}, "model-a": MODEL}, COUNTED),
        ({**TOKENS, "model-a": MODEL, "usage": TOKENS, "by_model": {"a": MODEL}}, COUNTED),
        ({"total_cost": 0.1, "model-a": {**MODEL, "usage": MODEL}}, COUNTED),
        (
            {**TOKENS, "prompt_tokens_details": {"cached_tokens": 1}, "completion_tokens_details": {"reasoning_tokens": 2}},
            COUNTED,
        ),
        (
            {"input_tokens": 3, "output_tokens": 2, "cache_read_input_tokens": 9, "cache_creation_input_tokens": 4},
            KnownUsage(3, 2, 5),
        ),
    ],
)  # fmt: skip
def test_what_says_the_same_twice_is_not_added_up(place: str, stored: Any, usage: KnownUsage) -> None:
    name, _, inner = place.partition(".")
    assert counters(**{name: {inner: stored} if inner else stored}) == usage


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"real_time_tracking": {"tokens": ZEROS}},
        {"token_usage": ZEROS, **dict.fromkeys(FLAT, 0)},
        {"real_time_tracking": {"tokens": {}}, "token_usage": None, "usage_summary": {"raw": [TOKENS]}},
        {"usage_summary": {"raw": {"model-a": {**ZEROS, "cost": 0}}}},
    ],
)
def test_counters_of_0_are_unknown(fields: dict[str, Any]) -> None:
    assert counters(**fields) == UNKNOWN_USAGE
    assert invalid(**fields) == []


def test_real_zeros_stay() -> None:
    assert counters(token_usage={**ZEROS, "total_tokens": 5}) == KnownUsage(0, 0, 5, Decimal())
    assert counters(real_time_tracking={"tokens": ZEROS, "in_ledger": True}) == NOTHING_PAID


@pytest.mark.parametrize(
    ("changed", "usage"),
    [
        ({"total_tokens": -5}, COUNTED),  # the sum of the other two
        ({"total_tokens": MOST_TOKENS + 1}, COUNTED),
        ({"total_tokens": -5, "prompt_tokens": None, "completion_tokens": None}, KnownUsage(cost=Decimal("0.1"))),
        ({"prompt_tokens": -3}, KnownUsage(None, 2, 5, Decimal("0.1"))),
        ({"prompt_tokens": 1.5, "total_tokens": 0}, KnownUsage(None, 2, None, Decimal("0.1"))),
        ({"prompt_tokens": True}, KnownUsage(None, 2, 5, Decimal("0.1"))),
        ({"prompt_tokens": "many"}, KnownUsage(None, 2, 5, Decimal("0.1"))),
        ({"prompt_tokens": "1e300000000"}, KnownUsage(None, 2, 5, Decimal("0.1"))),
        ({"prompt_tokens": "9" * 5_000}, KnownUsage(None, 2, 5, Decimal("0.1"))),
        ({"completion_tokens": float("nan")}, KnownUsage(3, None, 5, Decimal("0.1"))),
        ({"completion_tokens": Decimal128("1E+6000")}, KnownUsage(3, None, 5, Decimal("0.1"))),
        ({"completion_tokens": {"a": 1}}, KnownUsage(3, None, 5, Decimal("0.1"))),
        *(
            ({"total_cost": cost}, KnownUsage(3, 2, 5))
            for cost in (
                -0.1, float("inf"), float("nan"), 1e300, 5e-324, "1e300000000", "1e-300000000", "1e99999999999999999999",
                "-1", "NaN", "free", "0." + "1" * 200, Decimal128("1E+6111"), Decimal128("1E-6176"), Decimal128("NaN"),
                MOST_TOKENS + 1, True, {"a": 1}, [1],
            )
        ),
    ],
)  # fmt: skip
def test_an_invalid_number_is_unknown_and_named(changed: dict[str, Any], usage: KnownUsage) -> None:
    fields = {"token_usage": {**TOKENS, **changed}}
    assert counters(**fields) == usage
    assert invalid(**fields) == [f"token_usage.{name}" for name, value in changed.items() if value not in (None, 0)]


def test_an_invalid_number_of_a_model_makes_the_sum_unknown() -> None:
    raw = {"model-a": MODEL, "model-b": {**MODEL, "prompt_tokens": -1}}
    assert counters(usage_summary={"raw": raw}) == KnownUsage(None, 4, 10, Decimal("0.2"))
    assert invalid(usage_summary={"raw": raw}) == ["usage_summary.raw.model-b.prompt_tokens"]
    assert invalid(usage_total_cost_final="soon") == ["usage_total_cost_final"]


def test_a_sum_of_models_has_the_same_bound() -> None:
    raw = {"model-a": {"total_tokens": MOST_TOKENS}, "model-b": {"total_tokens": 1}}
    assert counters(usage_summary={"raw": raw}) == UNKNOWN_USAGE
    assert invalid(usage_summary={"raw": raw}) == ["usage_summary.raw.*"]


@pytest.mark.parametrize(
    ("stored", "cost"), [(0.1, "0.1"), (0.1 + 0.2, "0.3"), (1e-7, "1E-7"), (-0.0, "0"), ("0e999", "0")]
)
def test_a_double_costs_what_was_meant_and_not_its_binary_neighbour(stored: Any, cost: str) -> None:
    assert str(counters(token_usage={"total_cost": stored, "total_tokens": 1}).cost) == cost


def test_usage_below_usage_at_every_depth_is_read_once() -> None:
    empty: dict[str, Any] = {}
    full: dict[str, Any] = dict(TOKENS)
    for _ in range(90):  # reading each member twice takes 2 ** 90 steps
        empty, full = {"usage": empty}, {"usage": full}
    assert counters(token_usage=empty) == UNKNOWN_USAGE
    assert counters(token_usage=full) == COUNTED
    wrong = {"usage": {"usage": {"total_tokens": -1}}, "model-a": MODEL}
    assert counters(token_usage=wrong) == COUNTED
    assert invalid(token_usage=wrong) == ["token_usage.usage.usage.total_tokens"]
