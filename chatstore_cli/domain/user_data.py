"""The port to what is stored about a user and belongs to no session."""

from __future__ import annotations

from typing import Protocol

from chatstore_cli.domain.removal import StoredPart


class UserData(Protocol):
    """The client sessions, the states, the counters and the usage of one user, by collection."""

    def parts(self) -> list[StoredPart]:
        """How many documents there are. Usage of existing sessions is counted with the sessions, and not here."""

    def remove(self) -> list[StoredPart]:
        """Delete them, after the sessions of the user, and return how many were deleted. May be called again."""
