"""Which part of the path to a value of a state can be a field name in an update of MongoDB."""

from __future__ import annotations

from chatstore_cli.domain.agent_states import Path

DATA = "data"


def addressable(path: Path) -> Path:
    """The keys at the beginning of a path that a field name can have.

    In a field name, `.` separates keys, `$` begins an operator, and digits can be an index. MongoDB 5.0 has operators for
    other keys, which replace a whole object too.
    """
    for place, step in enumerate(path):
        if not isinstance(step, str) or not step or "." in step or step.startswith("$") or step.isdigit():
            return path[:place]
    return path


def field_of(path: Path) -> str:
    """The field name of an addressable path."""
    return ".".join((DATA, *map(str, path)))
