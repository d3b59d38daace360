"""Entries of the session registry in memory, for tests and for applications without a database."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from threading import Lock

from chatstore_cli.domain.session_registry import KEPT_SWITCHES, ClientSession, RegistryEntry, Switch

_NEVER = datetime.min.replace(tzinfo=UTC)


class MemoryRegistryStore:
    """A RegistryStore in plain memory, safe for several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._entries: dict[ClientSession, RegistryEntry] = {}
        self._switches: dict[ClientSession, deque[Switch]] = {}

    def find(self, session: ClientSession) -> RegistryEntry | None:
        with self._lock:
            return self._entries.get(session)

    def change(self, before: RegistryEntry, after: RegistryEntry, switch: Switch) -> bool:
        session = before.session
        with self._lock:
            stored = self._entries.get(session)
            if (0 if stored is None else stored.version) != before.version:
                return False
            self._entries[session] = after
            self._switches.setdefault(session, deque(maxlen=KEPT_SWITCHES)).append(switch)
            return True

    def switches(self, session: ClientSession, limit: int) -> list[Switch]:
        with self._lock:
            return list(self._switches.get(session, ()))[::-1][:limit]

    def newest(self, app_id: str, user_id: str, limit: int) -> list[RegistryEntry]:
        with self._lock:
            found = [each for each in self._entries.values() if each.session[:2] == (app_id, user_id)]
        return sorted(found, key=lambda each: each.updated_at or _NEVER, reverse=True)[:limit]
