"""Limits of time after which a command prints something else: no suggestions, no total, a notice that it waits.

On a busy machine they would decide what a command prints. The commands of tests have longer ones.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import ModuleType

SECONDS = 120.0
LIMITS = (
    "cli.suggestions.SECONDS",
    "core.sessions.bounded_list.MOST_SECONDS",
    "core.sessions.names.MOST_SECONDS",
    "core.sessions.names._SUGGESTION_SECONDS",
    "core.sessions.totals._SECONDS",
    "core.similar_sessions.SECONDS",
    "mongo.waiting.SECONDS_UNTIL_NOTICE",
)
"""Names below the package, in seconds."""
LIMITS_IN_MILLISECONDS = ("mongo.foreign_documents._MILLISECONDS",)


def be_patient(put: Callable[[ModuleType, str, float], None] = setattr) -> None:
    """Raise the limits in this process and in those that it forks. With a MonkeyPatch's `setattr`, until it is undone."""
    for names, value in ((LIMITS, SECONDS), (LIMITS_IN_MILLISECONDS, int(SECONDS * 1000))):
        for name in names:
            module, _, limit = f"chatstore_cli.{name}".rpartition(".")
            found = import_module(module)
            getattr(found, limit)  # a limit that was renamed is an error
            put(found, limit, value)
