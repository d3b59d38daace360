"""Lists of many objects, made without the pauses of Python's garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from typing import TypeVar

Item = TypeVar("Item")


def long_list(items: Iterable[Item]) -> list[Item]:
    """`list(items)`, for many objects that all remain.

    Python examines all objects again and again while their number grows, and finds nothing to collect. For 100,000 messages
    this takes longer than reading them. The collector runs as soon as the list is complete. If several threads make lists
    at once, it may run earlier.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        return list(items)
    finally:
        if was_enabled:
            gc.enable()
