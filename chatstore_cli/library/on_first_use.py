"""A store that is created, and connected, by its first call."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class OnFirstUse:
    """A store that is created for the first call, and receives all calls."""

    def __init__(self, create: Callable[[], Any]) -> None:
        self._create = create
        self._creating = threading.Lock()
        self._store: Any = None

    def __getattr__(self, method: str) -> Any:
        with self._creating:
            if self._store is None:
                self._store = self._create()
            return getattr(self._store, method)

    def forget(self) -> None:
        """Forget the store, so that the next call creates a new one."""
        with self._creating:
            self._store = None
