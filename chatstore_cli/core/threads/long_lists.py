"""Lists of many objects, made without the pauses of Python's garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from typing import TypeVar

Item = TypeVar("Item")


def long_list(items: Iterable[Item]) -> list[Item]:
    """`list(items)`, for many objects that all remain.

    While the number of objects grows, Python's garbage collector examines all of them repeatedly and finds nothing to
    collect. For 100,000 messages this takes longer than reading them. So the collector is off until the list is complete. If
    several threads make lists at once, it may run earlier.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return list(items)
    finally:
        if was_enabled:
            gc.enable()
