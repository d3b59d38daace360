"""Puts the steps of several streams of one layout into one order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import TypeVar

from chatstore_cli.domain.search.models import Candidate, SearchStep

Item = TypeVar("Item")

BATCH = 50
"""Messages of one step. They are in memory together, and one can have 16 MiB."""

_LATEST = datetime.max.replace(tzinfo=UTC)
_EARLIEST = datetime.min.replace(tzinfo=UTC)


def merged(streams: Sequence[Iterator[SearchStep]]) -> Iterator[SearchStep]:
    """The steps of all streams. The stream that may have the newest message is read next.

    No stream has a message after what its last step reached. A step with messages without a time is an exception: it says
    their time and nothing about other messages. It waits until no stream has newer messages.
    """
    reached = dict.fromkeys(range(len(streams)), _LATEST)
    waiting: list[SearchStep] = []
    while reached or waiting:
        bound = max(reached.values(), default=_EARLIEST)
        waiting.sort(key=_instant)
        while waiting and (not reached or _instant(waiting[-1]) >= bound):
            yield waiting.pop()
        if not reached:
            continue
        place = max(reached, key=reached.__getitem__)
        step = next(streams[place], None)
        if step is None:
            del reached[place]
            continue
        if any(_is_undated(each) for each in step.candidates):
            waiting.append(step)
        else:
            reached[place] = min(reached[place], _instant(step))
            held = max((_instant(each) for each in waiting), default=_EARLIEST)
            yield SearchStep(max(held, *reached.values()), step.candidates)


def in_steps(
    moment: datetime | None, candidates: Iterable[Candidate], reached: datetime | None
) -> Iterator[SearchStep]:
    """A step of the candidates with a time, which reaches to `reached`, after one of those without: these have `moment`."""
    dated: list[Candidate] = []
    undated: list[Candidate] = []
    for each in candidates:
        (undated if _is_undated(each) else dated).append(each)
    if undated:
        yield SearchStep(moment, undated)
    if dated:
        yield SearchStep(reached, dated)


def batches(items: Iterable[Item], size: int = BATCH) -> Iterator[list[Item]]:
    """The items in lists of at most `size`."""
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


def _is_undated(candidate: Candidate) -> bool:
    return candidate.message.created_at is None


def _instant(step: SearchStep) -> datetime:
    return step.reached or _EARLIEST
