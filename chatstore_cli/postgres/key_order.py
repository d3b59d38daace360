"""The order of the keys of a JSON value's objects, which `jsonb` does not keep: it is stored beside the value.

A value that is read back has its keys as they were written, on every store: what a model is sent does not depend on the store.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def key_order(value: Any) -> list[list[str]] | None:
    """The keys of each object that has several, from the outer one to the inner ones; None without such objects."""
    orders: list[list[str]] = []
    _collect(value, orders)
    return orders or None


def in_key_order(value: Any, orders: list[list[str]] | None) -> Any:
    """The value with the keys of its objects in these orders. It stays as it is if another program has changed it."""
    if orders is None:
        return value
    try:
        return _ordered(value, iter(orders))
    except (LookupError, StopIteration):
        return value


def _collect(value: Any, orders: list[list[str]]) -> None:
    if value.__class__ is dict:
        if len(value) > 1:
            orders.append(list(value))
        value = value.values()
    for item in value:
        if item.__class__ is dict or item.__class__ is list:
            _collect(item, orders)


def _ordered(value: Any, orders: Iterator[list[str]]) -> Any:
    if value.__class__ is dict:
        keys = next(orders) if len(value) > 1 else list(value)
        if len(keys) != len(value):
            raise LookupError
        return {key: _ordered(value[key], orders) for key in keys}
    if value.__class__ is list:
        return [_ordered(item, orders) for item in value]
    return value
