"""Prices of models, and the usage that is multiplied with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple, Protocol

from chatstore_cli.domain.usage import TokenDetails, Usage


@dataclass(frozen=True, slots=True)
class Price:
    """The price of a model on the days (UTC) from `since` to `until`, both included. None is no limit.

    Amounts are for one million tokens. `cached` is that of cached tokens of the prompt; None is the price of all others.
    `source` names the list that has the price. `note` is a sentence if the provider's own price depends on more than this.
    """

    input: Decimal
    output: Decimal
    cached: Decimal | None
    currency: str
    source: str
    model: str
    since: date | None = None
    until: date | None = None
    note: str | None = None

    def holds_on(self, day: date) -> bool:
        """Whether this is the price on a day."""
        return (self.since is None or self.since <= day) and (self.until is None or day <= self.until)


class PriceTable(Protocol):
    """A list of prices."""

    def prices(self, model: str) -> Sequence[Price]:
        """All prices of a model. If two hold on a day, the first one counts. Empty if the model is unknown."""

    def describe(self) -> str:
        """The name of the list, with its version or path."""


class CostIsStored(StrEnum):
    """Whether usage in the ledger has a cost."""

    YES = "yes"
    NO = "no"
    PARTLY = "partly"
    """Turns of both kinds, in daily sums of an earlier version."""


class UsageToPrice(NamedTuple):
    """The usage of one group, model and day (UTC). `group` is in the order of a query's keys.

    A `model` or `day` of None is unknown. If `cached_is_unknown`, some of the prompt's tokens may have been cached.
    """

    group: tuple[str | None, ...]
    model: str | None
    day: date | None
    usage: Usage
    details: TokenDetails
    cached_is_unknown: bool
    stored: CostIsStored


@dataclass(slots=True)
class Unpriced:
    """Tokens without a price. `source` is `ledger`, or `counters` for the stored totals of sessions."""

    model: str | None
    source: str
    tokens: int = 0
    first_day: date | None = None
    last_day: date | None = None
