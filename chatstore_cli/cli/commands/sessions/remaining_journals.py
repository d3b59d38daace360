"""The notice that journals of the local cache still have the text of deleted sessions."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from chatstore_cli.domain.quantities import quantity
from chatstore_cli.wiring.history import FLAT_MESSAGES
from chatstore_cli.wiring.journals import journals_by_session, number_of_journals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chatstore_cli.cli.invocation import Invocation
    from chatstore_cli.domain.labels import SessionRef

_FEW = 20
"""The sessions that are looked up one by one. For more, one scan of the folder is quicker."""
_TO_REMOVE = "chatstore cache prune --deleted --older-than 0s"


class RemainingJournals:
    """Counts the journals of deleted sessions, of which a deletion in MongoDB removes none."""

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation
        self._sessions = self._journals = 0

    @cached_property
    def _by_session(self) -> Mapping[str, int]:
        return journals_by_session(self._invocation.settings)

    def add(self, session: SessionRef) -> None:
        """Count the journals of a session. Only flat messages have journals."""
        if session.layout != FLAT_MESSAGES:
            return
        self._sessions += 1
        if self._sessions > _FEW:
            self._journals += self._by_session.get(session.session_id, 0)
        else:
            self._journals += number_of_journals(self._invocation.settings, session.session_id)

    def say(self, *, dry_run: bool = False) -> None:
        """Print the notice, if there are any."""
        if not self._journals:
            return
        folder = self._invocation.settings.mongo.cache.disk_path
        journals = quantity(self._journals, "journal")
        if dry_run:
            text = f"The text would remain in {journals} in {folder}. After the deletion, remove it with: {_TO_REMOVE}"
        else:
            text = f"The text remains in {journals} in {folder}. To remove it, run: {_TO_REMOVE}"
        self._invocation.say(text)
