"""The threads that wait for a database: bounded, and each with a deadline."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager

import pytest

from chatstore_cli.domain.errors import Overdue
from chatstore_cli.server.threads import WorkThreads


def test_a_call_that_hangs_is_overdue_and_others_are_answered():
    release, hanging = threading.Event(), WorkThreads("database", 2, 0.05)

    async def run():
        with pytest.raises(Overdue, match=r"0\.05 seconds"):
            await hanging.run(release.wait)
        assert await hanging.run(lambda: "answered", seconds=60) == "answered"
        with pytest.raises(Overdue):
            await hanging.run(release.wait)
        with pytest.raises(Overdue):  # both threads hang, so there is none for this call
            await hanging.run(lambda: "answered")
        release.set()
        while True:
            try:
                return await hanging.run(lambda: "answered", seconds=60)
            except Overdue:
                continue

    assert asyncio.run(run()) == "answered"


def test_the_call_sees_the_limit_of_its_moment():
    seen = []

    @contextmanager
    def limit(seconds):
        seen.append(seconds)
        yield

    threads = WorkThreads("database", 1, 60.0, limit)

    async def run():
        await threads.run(lambda: None)
        await threads.run(lambda: None, seconds=30.0)

    asyncio.run(run())
    assert seen == [60.0, 30.0]


def test_the_error_of_a_call_is_raised():
    async def run():
        with pytest.raises(ZeroDivisionError):
            await WorkThreads("x", 1).run(lambda: 1 / 0)

    asyncio.run(run())


def test_a_stream_has_every_item_and_is_closed_when_its_reader_stops():
    closed = []

    def numbers():
        try:
            yield from range(1_000)
        finally:
            closed.append(True)

    async def run():
        threads = WorkThreads("x", 1)
        assert [each async for each in threads.stream(numbers)] == list(range(1_000))
        stream = threads.stream(numbers)
        assert await anext(stream) == 0
        await stream.aclose()

    asyncio.run(run())
    assert closed == [True, True]
