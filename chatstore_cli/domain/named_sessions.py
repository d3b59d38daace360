"""The sessions of one tenant or user."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from chatstore_cli.domain.session_reader import NameTotal


@dataclass(slots=True)
class NamedSessions:
    """The sessions of one tenant or user, in all and per layout. The name is None for sessions without one."""

    name: str | None
    sessions: int = 0
    updated_at: datetime | None = None
    layouts: dict[str, NameTotal] = field(default_factory=dict)

    def add(self, layout: str, total: NameTotal) -> None:
        """Count the sessions of a layout, or more of them."""
        known = self.layouts.get(layout, NameTotal(self.name, 0, None))
        newest = max(filter(None, (known.updated_at, total.updated_at)), default=None)
        self.layouts[layout] = NameTotal(self.name, known.sessions + total.sessions, newest)
        self.sessions += total.sessions
        self.updated_at = max(filter(None, (self.updated_at, total.updated_at)), default=None)
