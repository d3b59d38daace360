"""The awaitable faces of calls and of phone numbers."""

from __future__ import annotations

from typing import Any

from chatstore_cli.aio.connected import ConnectedFace
from chatstore_cli.aio.face import arguments_of, awaitable
from chatstore_cli.library import calls

_Calls = calls.CallSessions
_Numbers = calls.PhoneNumbers


class CallSessions(ConnectedFace[calls.CallSessions]):
    """`chatstore_cli.CallSessions` for an event loop. Up to 16 calls are made at a time, in no order."""

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


class PhoneNumbers(ConnectedFace[calls.PhoneNumbers]):
    """`chatstore_cli.PhoneNumbers` for an event loop. Up to 16 calls are made at a time, in no order."""

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
    connect_number = awaitable(_Numbers.connect_number)
    disconnect_number = awaitable(_Numbers.disconnect_number)
    routes_to = awaitable(_Numbers.routes_to)
    resolve_did = awaitable(_Numbers.resolve_did)
    fault_of = awaitable(_Numbers.fault_of)
