"""The counters in a session's own document: tokens and cost, in the places and forms that products stored.

Places are alternatives: the first one with a number above 0 counts. Within a place, a sum and its parts are alternatives
too, as are the usage with and without cached answers. Only the usages of several models are added up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from chatstore_cli.domain.usage import UNKNOWN_USAGE, KnownUsage
from chatstore_cli.domain.usage_ledger import MOST_TOKENS
from chatstore_cli.mongo.bson_values import decimal_value

IN_LEDGER = "in_ledger"
"""Beside `real_time_tracking.tokens` once these come from the usage ledger: their values before its first report."""

FLAT_NAMES = (
    "usage_prompt_tokens_final", "usage_completion_tokens_final", "usage_total_tokens_final", "usage_total_cost_final",
)  # fmt: skip

COUNTER_FIELDS = (
    "real_time_tracking.tokens", f"real_time_tracking.{IN_LEDGER}", "token_usage", "usage_summary.raw", *FLAT_NAMES,
)  # fmt: skip
"""The fields that `counters_of` reads."""

_COUNTS = (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"), ("total_tokens",))
_COSTS = ("total_cost", "cost")

_PAID_AND_ALL = (
    ("usage_excluding_cached_inference", "usage_including_cached_inference"),
    ("actual_usage_summary", "total_usage_summary"),
    ("actual", "total"),
)
"""AG2's names of what was paid, and of the same usage with the answers that came from its cache."""

_WHOLES = ("totals", "total_usage", "usage", "token_usage", "usage_metadata", "tokens")
"""Names of a sum, or of another copy of the same usage. The first one with usage counts, and nothing beside it."""

_LISTS_OF_MODELS = ("usages", "models")

_NOTHING_PAID = KnownUsage(0, 0, 0, Decimal())
_LONGEST_PATH = 120

Document = Mapping[str, Any]
_Path = Callable[[str], str]


def counters_of(document: Document, invalid: list[str]) -> KnownUsage:
    """The tokens and the cost of a session: those of the first place with a number above 0.

    If it has no cost, the cost of the next place with one counts. Counters of 0 say nothing, because a new session has
    them, unless the ledger has reports. The names of fields with invalid numbers are added to `invalid`.
    """
    tracking = _mapping(document.get("real_time_tracking"))
    tokens = _mapping(tracking.get("tokens"))
    usual = _usual(tokens)
    if usual is not None:
        return usual
    telling: list[KnownUsage] = []
    for place, path in _places(document, tokens):
        usage = _read(place, path, invalid)
        if _says_anything(usage):
            telling.append(usage)
            if usage.cost is not None:
                break
    if telling:
        return telling[0]._replace(cost=telling[-1].cost)
    if tracking.get(IN_LEDGER) is None:
        return UNKNOWN_USAGE
    return KnownUsage(0, 0, 0, _cost(tokens, str, []))


def _places(document: Document, tokens: Document) -> Iterator[tuple[Document, _Path]]:
    yield tokens, _below("real_time_tracking.tokens")
    yield _mapping(document.get("token_usage")), _below("token_usage")
    yield _mapping(_mapping(document.get("usage_summary")).get("raw")), _below("usage_summary.raw")
    flat = {name: document.get(f"usage_{name}_final") for name in (*(names[0] for names in _COUNTS), "total_cost")}
    yield flat, "usage_{}_final".format


def count_of(value: Any) -> int | None:
    """A valid number of tokens: a whole number from 0 to MOST_TOKENS, or a text of one. None for any other value."""
    if type(value) is not int:
        amount = decimal_value(value)
        if amount is None or not 0 <= amount <= MOST_TOKENS or amount != int(amount):
            return None
        return int(amount)
    return value if 0 <= value <= MOST_TOKENS else None


def cost_of(value: Any) -> Decimal | None:
    """A valid cost: a number from 0 to MOST_TOKENS, or a text of one. None for any other value."""
    amount = decimal_value(value)
    return amount if amount is not None and 0 <= amount <= MOST_TOKENS else None


def _usual(tokens: Document) -> KnownUsage | None:
    """The counters in their usual types, the fastest way: a report reads a million documents. None for others."""
    counts = [tokens.get(names[0]) for names in _COUNTS]
    cost = tokens.get("total_cost")
    if not counts[2] or type(cost) is not float or not all(type(count) is int for count in counts):
        return None
    prompt, completion, total = map(count_of, counts)
    usage = KnownUsage(prompt, completion, total, cost_of(cost))
    return None if None in usage else usage


def _says_anything(usage: KnownUsage) -> bool:
    return any(usage) or usage is _NOTHING_PAID


def _read(place: Document, path: _Path, invalid: list[str]) -> KnownUsage:
    """Tokens and cost of one place. A place without counts of its own has them in its members."""
    cost = _cost(place, path, invalid)
    own = _own(place, path, invalid)
    if own is not None:
        return own._replace(cost=cost)
    found = _whole(place, path, invalid)
    if found is not None:
        return found if found.cost is not None else found._replace(cost=cost)
    summed = _sum([_read(part, below, invalid) for part, below in _models(place, path)], path, invalid)
    return summed if cost is None else summed._replace(cost=cost)


def _own(place: Document, path: _Path, invalid: list[str]) -> KnownUsage | None:
    """The counts of a place, None if it has none of its own. A missing count is 0, a missing total the sum of both."""
    stored = [next((name for name in names if place.get(name) is not None), None) for names in _COUNTS]
    if not any(stored):
        return None
    counts = [None if name is None else count_of(place[name]) for name in stored]
    wrong = [name is not None and count is None for name, count in zip(stored, counts, strict=True)]
    _note(invalid, (path(name) for name, is_wrong in zip(stored, wrong, strict=True) if name and is_wrong))
    prompt, completion = (None if is_wrong else count or 0 for count, is_wrong in zip(counts[:2], wrong, strict=False))
    total = counts[2]
    if wrong[2] and not any(stored[:2]):
        return UNKNOWN_USAGE
    if not total:
        total = prompt + completion if prompt is not None and completion is not None else None
    return KnownUsage(prompt, completion, total)


def _whole(place: Document, path: _Path, invalid: list[str]) -> KnownUsage | None:
    """The usage of the one member that stands for all, None if there is no such member."""
    for paid, everything in _PAID_AND_ALL:
        usage, other = place.get(paid), place.get(everything)
        if isinstance(usage, dict) or (paid in place and usage is None and isinstance(other, dict)):
            counted = _read(_mapping(usage), _below(path(paid)), invalid)
            if _says_anything(counted):
                return counted
            return _NOTHING_PAID if _says_anything(_read(_mapping(other), _below(path(everything)), [])) else counted
        if isinstance(other, dict):
            return _read(other, _below(path(everything)), invalid)
    for name in _WHOLES:
        member = place.get(name)
        if isinstance(member, dict) and _says_anything(usage := _read(member, _below(path(name)), invalid)):
            return usage
    return None


def _models(place: Document, path: _Path) -> Iterator[tuple[Document, _Path]]:
    """The usages of the models in a place: in a list, or below the models' names.

    Members of _WHOLES are not models, and `_whole` has read them. Reading them twice at each depth would take forever.
    """
    listed = next((name for name in _LISTS_OF_MODELS if isinstance(place.get(name), dict | list)), None)
    members = place if listed is None else place[listed]
    within = path if listed is None else _below(path(listed))
    named = members.items() if isinstance(members, Mapping) else enumerate(members)
    for name, member in named:
        if isinstance(member, dict) and name not in _WHOLES:
            yield member, _below(within(str(name)))


def _sum(parts: Sequence[KnownUsage], path: _Path, invalid: list[str]) -> KnownUsage:
    """The sum of several models. A number that is unknown for one of them is unknown; unknown costs are left out."""
    counted = [part for part in parts if part.has_tokens]
    costs = [part.cost for part in parts if part.cost is not None]
    summed = KnownUsage(
        _sum_of([part.prompt_tokens for part in counted]),
        _sum_of([part.completion_tokens for part in counted]),
        _sum_of([part.total_tokens for part in counted]),
        sum(costs, Decimal()) if costs else None,
    )
    if any(number is not None and number > MOST_TOKENS for number in summed):
        _note(invalid, [path("*")])
        return UNKNOWN_USAGE
    return summed


def _sum_of(numbers: Sequence[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known and len(known) == len(numbers) else None


def _cost(place: Document, path: _Path, invalid: list[str]) -> Decimal | None:
    """The first valid cost of a place."""
    for name in _COSTS:
        value = place.get(name)
        if value is not None:
            cost = cost_of(value)
            if cost is not None:
                return cost
            _note(invalid, [path(name)])
    return None


def _note(invalid: list[str], paths: Iterator[str] | Sequence[str]) -> None:
    invalid.extend(path[:_LONGEST_PATH] for path in paths)


def _below(path: str) -> _Path:
    return lambda name: f"{path}.{name}"


def _mapping(value: Any) -> Document:
    return value if isinstance(value, dict) else {}
