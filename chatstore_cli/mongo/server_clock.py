"""The server's clock, by which MongoDB deletes expired documents. Every deadline is computed with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from chatstore_cli.domain.clocks import differing_clocks
from chatstore_cli.domain.times import Clock, as_utc, utc_now
from chatstore_cli.mongo.connection import Connection, driver_errors

_SECONDS_VALID = 60.0
_LARGEST_DRIFT = 1.0
"""Seconds by which the two local clocks may differ about the time since a reading."""

_warned_targets: dict[str, object] = {}
"""The servers whose clock this process has warned about."""


class _Reading(NamedTuple):
    """The server's time at an instant of the two local clocks. `primaries` are the processes that may have answered."""

    server: datetime
    local: datetime
    monotonic: float
    primaries: frozenset[object]


class ServerClock:
    """The server's time: asks for it once, and then adds the time that has passed here.

    It asks again after a minute, and if the answer may come from another clock: another process has become the primary, or
    this machine slept or its clock was set. Several threads may use it; if two of them ask at once, both answers are right.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        warn: Callable[[str], None],
        local: Clock = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`warn` is called once per process and server if its clock and the `local` one differ by more than 5 minutes."""
        self._connection = connection
        self._warn = warn
        self._local = local
        self._monotonic = monotonic
        self._reading: _Reading | None = None

    def now(self) -> datetime:
        """The server's current time, or up to one round trip before it, and never a later time.

        Raises Unreachable and the other errors of a command. In memory there is no server, and the local clock counts.
        """
        if self._connection.in_memory:
            return self._local()
        reading = self._reading
        if reading is None or not self._is_valid(reading):
            self._reading = reading = self._read()
        return reading.server + timedelta(seconds=self._monotonic() - reading.monotonic)

    def _is_valid(self, reading: _Reading) -> bool:
        passed = self._monotonic() - reading.monotonic
        drift = (self._local() - reading.local).total_seconds() - passed
        if not 0 <= passed < _SECONDS_VALID or abs(drift) > _LARGEST_DRIFT:
            return False
        primaries = self._primaries()
        return bool(primaries) and primaries == reading.primaries

    def _read(self) -> _Reading:
        with driver_errors("asking for the server's time"):
            answer = self._connection.client.admin.command("hello")
        answered, local = self._monotonic(), self._local()
        answered_at = answer.get("localTime")
        # MongoDB always reports it; a server that imitates MongoDB may not. The time that the answer took is unknown and is
        # not added: with a time ahead of the server's, a deletion would cover messages that are recorded right after it.
        server = as_utc(answered_at) if isinstance(answered_at, datetime) else local
        warning = differing_clocks(local, server)
        if warning is not None:
            mine = object()
            if _warned_targets.setdefault(self._connection.target, mine) is mine:
                self._warn(warning)
        return _Reading(server, local, answered, self._primaries())

    def _primaries(self) -> frozenset[object]:
        """The processes that accept writes, as the driver knows them: after a restart, the same address is another one."""
        servers = self._connection.client.topology_description.server_descriptions()
        return frozenset(
            (address, (server.topology_version or {}).get("processId"))
            for address, server in servers.items()
            if server.is_writable
        )
