"""Paths into the data of a state: their check, and what is under one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from chatstore_cli.core.agents.checks import MAX_LEVELS
from chatstore_cli.core.agents.paths import parsed_path, path_text, set_value, unset_value
from chatstore_cli.domain.agent_states import Path
from chatstore_cli.domain.errors import Conflict, WrongUse

StatePath = str | Sequence[str | int]
"""A path as a text, or its keys and indexes."""

_NOT_STORABLE = re.compile("[\0\ud800-\udfff]")
_LARGEST_INDEX = 9_999_999


def checked_path(path: StatePath) -> Path:
    """The steps of a path. Raises WrongUse."""
    steps: Path = parsed_path(path, "path") if isinstance(path, str) else tuple(path)
    if not steps:
        raise WrongUse(what="path: it is empty.", hint="Name at least one key of the data.")
    if len(steps) > MAX_LEVELS:
        raise WrongUse(what=f"path: it has more than {MAX_LEVELS} levels.")
    for place, step in enumerate(steps):
        if isinstance(step, bool) or not isinstance(step, str | int):
            raise WrongUse(what=f"path, step {place + 1}: {step!r:.100} is neither a key nor an index of a list.")
        if isinstance(step, str) and _NOT_STORABLE.search(step):
            raise WrongUse(what=f"path, step {place + 1}: the key has NUL or a lone surrogate.")
        if isinstance(step, int) and not (place and 0 <= step <= _LARGEST_INDEX):
            raise WrongUse(what=f"path, step {place + 1}: {step} is not an index of a list.")
    return steps


def shown_path(path: Path) -> str:
    """The path of a value of a state in errors."""
    shown = path_text(path)
    return shown if len(shown) <= 300 else f"{shown[:300]}…"


def value_under(data: Any, path: Path, default: Any) -> Any:
    """The value under a path, or `default`."""
    for step in path:
        is_key = isinstance(step, str) and isinstance(data, Mapping) and step in data
        is_index = isinstance(step, int) and isinstance(data, list) and step < len(data)
        if not (is_key or is_index):
            return default
        data = data[step]
    return data


def with_value(data: Any, path: Path, value: Any) -> Any:
    """A copy of the data with the value under a path. Raises Conflict if a value on the way has another type."""
    copy = deepcopy(data)
    try:
        set_value(copy, path, value, "path")
    except WrongUse as error:
        raise not_on_path(path, error.message) from error
    return copy


def without_value(data: Any, path: Path) -> Any:
    """A copy of the data without the value under a path; None if the path has no value."""
    missing = object()
    if value_under(data, path, missing) is missing:
        return None
    copy = deepcopy(data)
    unset_value(copy, path, "path")
    return copy


def not_on_path(path: Path, why: str = "") -> Conflict:
    """The error for a path on which a stored value has another type than the path needs."""
    reason = why or f"path {shown_path(path)}: a value on the way is neither an object nor a list."
    return Conflict(what=f"{reason} Nothing was changed.", hint="To replace that value, set or unset it first.")
