"""Which version the tables of a database have, and which one this program needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from chatstore_cli.domain.errors import Unreachable

Condition = Literal["absent", "behind", "current", "ahead"]


@dataclass(frozen=True)
class MigrationState:
    """The version of the tables in one database. `version` is None in a database without them."""

    database: str
    version: str | None
    needed: str
    condition: Condition

    @property
    def is_current(self) -> bool:
        """Whether this program can write into the tables."""
        return self.condition == "current"

    def __str__(self) -> str:
        """One sentence."""
        if self.condition == "absent":
            return f"{self.database} has no tables of threads. This chatstore needs version {self.needed}."
        if self.condition == "current":
            return f"{self.database} has version {self.version} of the tables of threads, the newest."
        return (
            f"{self.database} has version {self.version} of the tables of threads. This chatstore needs {self.needed}."
        )

    @property
    def advice(self) -> str | None:
        """What to do; None if nothing."""
        if self.condition == "ahead":
            return "A newer chatstore made them: install it here too."
        return None if self.is_current else "Run chatstore threads migrate."

    def require_current(self) -> None:
        """Raise Unreachable unless this program can write into the tables."""
        if not self.is_current:
            raise Unreachable(what=str(self), hint=self.advice)
