"""Reads the next parts of a scan while the caller looks at the one before, so that two cores of the server work."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Part = TypeVar("Part")

_AT_ONCE = 2


def read_ahead(parts: Iterator[Callable[[], Part]]) -> Iterator[Part]:
    """The results of the parts in their order. The first is read alone, because it often has all that is wanted."""
    first = next(parts, None)
    if first is None:
        return
    yield first()
    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        started: deque[Future[Part]] = deque()
        while True:
            while len(started) < _AT_ONCE and (part := next(parts, None)) is not None:
                started.append(pool.submit(part))
            if not started:
                return
            yield started.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
