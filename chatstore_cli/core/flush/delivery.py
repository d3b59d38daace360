"""One delivery of lines to the Storer: what it has met in them."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, field

from chatstore_cli.domain.journal import Position

_numbers = itertools.count()


@dataclass(kw_only=True)
class Delivery:
    """Lines that come one after the other from one place; `number` tells deliveries apart.

    `start` is where it began, if not at the first line of its journal. `skipped` lines belong to deleted sessions or
    have expired, `expired` ones have by their own time. `abandoned`: it has to be read again from the first line on.
    """

    start: Position | None = None
    skipped: int = 0
    expired: int = 0
    abandoned: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)
    number: int = field(default_factory=_numbers.__next__)

    @property
    def floor(self) -> str:
        """Lines at or before this instant may have equals before the place where the delivery began."""
        return self.start.latest if self.start else ""
