"""A changed configuration, with the stored values of everything in it that was not changed.

A caller receives a configuration in another form than the stored one: secrets are masked, and values that JSON has no type
for are text. If the caller returns it with changes, whatever still has the form that was shown is the stored value.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any

Path = tuple[str | int, ...]


class Missing:
    """The type of `MISSING`."""


MISSING = Missing()
"""What is stored under a path that does not exist."""


def as_given(given: Any, _stored: Any, _path: Path) -> Any:
    """The given value: it is a new one."""
    return given


def restored(
    given: Any, shown: Any, stored: Any, new: Callable[[Any, Any, Path], Any] = as_given, path: Path = ()
) -> Any:
    """`given`, in which each part that equals the part of `shown` under its path is replaced by that of `stored`.

    `shown` has the structure of `stored`. `new` returns what to store for a value that is not an object or a list and
    differs from the shown one; its arguments are the value, the stored one or MISSING, and its path.
    """
    if stored is not MISSING and (same(given, shown) or (given is None and _is_null_in_json(stored))):
        return stored
    if isinstance(given, dict):
        parts = (shown, stored) if isinstance(shown, Mapping) and isinstance(stored, Mapping) else ({}, {})
        return {
            key: restored(item, parts[0].get(key, MISSING), parts[1].get(key, MISSING), new, (*path, key))
            for key, item in given.items()
        }
    if isinstance(given, list):
        are_lists = isinstance(shown, list) and isinstance(stored, list)
        places = _places(given, shown, stored) if are_lists else [None] * len(given)
        parts_at = [(MISSING, MISSING) if place is None else (shown[place], stored[place]) for place in places]
        return [
            restored(item, its_shown, its_stored, new, (*path, index))
            for index, (item, (its_shown, its_stored)) in enumerate(zip(given, parts_at, strict=True))
        ]
    return new(given, stored, path)


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal: objects whatever the order of their keys, and numbers whatever their type."""
    if isinstance(one, dict):
        return (
            isinstance(other, dict)
            and len(one) == len(other)
            and all(key in other and same(item, other[key]) for key, item in one.items())
        )
    if isinstance(one, list):
        return (
            isinstance(other, list)
            and len(one) == len(other)
            and all(same(item, its) for item, its in zip(one, other, strict=True))
        )
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return bool(one == other) or (one != one and other != other)  # NaN is the only value that differs from itself


def _is_null_in_json(value: Any) -> bool:
    """Whether a value is a number that JSON has not: every output shows NaN and the infinities as null."""
    return isinstance(value, float) and not isfinite(value)


def _places(given: Sequence[Any], shown: Sequence[Any], stored: Sequence[Any]) -> list[int | None]:
    """Which stored element each given one is; None for a new one.

    An element that equals the one at its place is that one. In a list of another length it is the only equal one. A changed
    element is the one at its place, if the list has the same length and no other element is that one. If it is uncertain
    which one is meant, no element counts: a secret must not move from one element to another.
    """
    if len(given) == len(shown):
        places: list[int | None] = [index if same(item, shown[index]) else None for index, item in enumerate(given)]
    else:
        places = [None] * len(given)
    unused = _by_text(shown, {place for place in places if place is not None})
    for index, item in enumerate(given):
        equal = unused.get(_text(item)) if places[index] is None else None
        if equal and all(same(stored[each], stored[equal[0]]) for each in equal):
            places[index] = equal.pop(0)
    if len(given) == len(shown):
        taken = set(places)
        places = [index if place is None and index not in taken else place for index, place in enumerate(places)]
    return places


def _by_text(shown: Sequence[Any], used: set[int]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for index, item in enumerate(shown):
        if index not in used:
            places.setdefault(_text(item), []).append(index)
    return places


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
