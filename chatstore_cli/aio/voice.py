"""The awaitable faces of calls and of phone numbers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from chatstore_cli.aio.face import AT_A_TIME, ClosingFace, arguments_of, awaitable
from chatstore_cli.config.settings import Settings
from chatstore_cli.library import calls

_Calls = calls.CallSessions
_Numbers = calls.PhoneNumbers


class CallSessions(ClosingFace[calls.CallSessions]):
    """`chatstore_cli.CallSessions` for an event loop. Up to 16 calls are made at a time, in no order."""

    _calls_at_a_time = AT_A_TIME

    @arguments_of(_Calls)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._open(_Calls(*args, **kwargs))

    @classmethod
    def from_config(cls, config_file: str | None = None) -> CallSessions:
        """The calls of chatstore's configuration (mongo, chatstore.agents). Raises BadConfig."""
        return cls._of(_Calls.from_config(config_file))

    start = awaitable(_Calls.start)
    end = awaitable(_Calls.end)
    find = awaitable(_Calls.find)
    find_by_room = awaitable(_Calls.find_by_room)
    list_open = awaitable(_Calls.list_open)

    @asynccontextmanager
    async def within(self, seconds: float) -> AsyncIterator[None]:
        """Limit the time of all calls inside: `async with service.within(2): ...` raises Unreachable after two seconds."""
        with self.synchronous.within(seconds):  # a context variable, which every call copies
            yield

    @property
    def settings(self) -> Settings:
        """The settings of the connection."""
        return self.synchronous.settings


class PhoneNumbers(ClosingFace[calls.PhoneNumbers]):
    """`chatstore_cli.PhoneNumbers` for an event loop. Up to 16 calls are made at a time, in no order."""

    _calls_at_a_time = AT_A_TIME

    @arguments_of(_Numbers)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._open(_Numbers(*args, **kwargs))

    @classmethod
    def from_config(cls, config_file: str | None = None) -> PhoneNumbers:
        """The phone numbers of chatstore's configuration (mongo, chatstore.agents). Raises BadConfig."""
        return cls._of(_Numbers.from_config(config_file))

    list_numbers = awaitable(_Numbers.list_numbers)
    bind = awaitable(_Numbers.bind)
    unbind = awaitable(_Numbers.unbind)
    routes_to = awaitable(_Numbers.routes_to)
    resolve_did = awaitable(_Numbers.resolve_did)
    fault_of = awaitable(_Numbers.fault_of)

    @asynccontextmanager
    async def within(self, seconds: float) -> AsyncIterator[None]:
        """Limit the time of all calls inside: `async with service.within(2): ...` raises Unreachable after two seconds."""
        with self.synchronous.within(seconds):  # a context variable, which every call copies
            yield

    @property
    def settings(self) -> Settings:
        """The settings of the connection."""
        return self.synchronous.settings
