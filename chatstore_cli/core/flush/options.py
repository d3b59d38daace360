"""What to flush, and how."""

from __future__ import annotations

from dataclasses import dataclass, field

from chatstore_cli.core.flush.storing import StoringRules


@dataclass(frozen=True)
class FlushOptions:
    """What to flush and how. `timeout` is in seconds: how long one outage of the database may last.

    A database that is away already when it begins is waited for only with `waits_at_start`. `made_anew`: the collection
    was dropped, and made again by storing into it, since this process looked last.
    """

    rules: StoringRules = field(default_factory=StoringRules)
    session: str | None = None
    ignore_ledger: bool = False
    timeout: float = 60.0
    waits_at_start: bool = False
    made_anew: bool = False

    @property
    def reads_ledger(self) -> bool:
        """Whether lines are passed over that the ledger knows: not where every line is to be looked at."""
        return self.session is None and not self.ignore_ledger

    @property
    def writes_ledger(self) -> bool:
        """Whether positions are remembered: not where only some of the lines are stored, or none."""
        return self.session is None and not self.rules.dry_run
