"""What to flush, and how."""

from __future__ import annotations

from dataclasses import dataclass, field

from chatstore_cli.core.flush.storing import StoringRules


@dataclass(frozen=True)
class FlushOptions:
    """What to flush, and how. `timeout` is how many seconds one outage of the database may last.

    A database that is unreachable at the start is waited for only with `waits_at_start`. `recreated`: since this process
    last checked, the collection was dropped, and another writer created it again.
    """

    rules: StoringRules = field(default_factory=StoringRules)
    session: str | None = None
    ignore_ledger: bool = False
    timeout: float = 60.0
    waits_at_start: bool = False
    recreated: bool = False

    @property
    def reads_ledger(self) -> bool:
        """Whether lines that the ledger has passed are left out. They are not if every line is to be checked."""
        return self.session is None and not self.ignore_ledger

    @property
    def writes_ledger(self) -> bool:
        """Whether positions are remembered. They are not if only some of the lines are stored, or none."""
        return self.session is None and not self.rules.dry_run
