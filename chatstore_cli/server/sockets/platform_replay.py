"""What a client of the multi-agent platform has of its sessions: replays on connect and on request, and live turns.

The client's position in each session decides what is sent, so each turn is sent once, however often a change is reported.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping

from chatstore_cli.core.mixed_transcript.replay import replay
from chatstore_cli.domain.api_keys import Access
from chatstore_cli.domain.errors import NotFound, PositionAhead
from chatstore_cli.domain.mixed_transcript import (
    GENERAL_LAYOUT,
    NOTHING,
    ClientPosition,
    MixedTurn,
    ReplayBoundary,
    TranscriptSource,
)
from chatstore_cli.domain.session import Session
from chatstore_cli.domain.times import utc_now
from chatstore_cli.server.entrance.auditing import note_reading
from chatstore_cli.server.services import Services
from chatstore_cli.server.sockets.frames import Frames
from chatstore_cli.server.sockets.platform_frames import RESUME_FAILED, envelope, error_frame, turn_frame

Positions = Mapping[TranscriptSource, ClientPosition]


class PlatformReplay:
    """The sessions of one socket, and how much of each its client has."""

    def __init__(
        self, services: Services, frames: Frames, tenant: str, user: str, chat: TranscriptSource, access: Access
    ) -> None:
        self._services, self._frames, self._tenant, self._user = services, frames, tenant, user
        self._access = access
        self._positions: dict[TranscriptSource, ClientPosition] = {chat: NOTHING}
        self._sending = asyncio.Lock()

    def follows(self, layout: str, session_id: str) -> bool:
        """Whether the client gets the turns of this session."""
        return TranscriptSource(layout, session_id) in self._positions

    def add(self, source: TranscriptSource) -> None:
        """Send the turns of this session too, from its beginning."""
        self._positions.setdefault(source, NOTHING)

    def is_concerned(self, session: Session) -> bool:
        """Whether a change of this session concerns the client. A general chat of its user does, and is followed from then on."""
        is_general_chat = session.layout == GENERAL_LAYOUT
        if is_general_chat and (session.tenant_id, session.user_id) == (self._tenant, self._user):
            self.add(TranscriptSource(GENERAL_LAYOUT, session.session_id))
        return self.follows(session.layout, session.session_id)

    async def connect(self, chat: TranscriptSource) -> None:
        """Replay every session from its beginning, and send the boundary."""
        async with self._sending:
            await self._send(None, chat, is_replay=True)

    async def catch_up(self) -> None:
        """Send what was stored since the last time, as live turns. A session that was deleted is left out from then on."""
        async with self._sending:
            try:
                await self._send(dict(self._positions), None, is_replay=False)
            except (NotFound, PositionAhead):
                await self._catch_up_each()

    async def _catch_up_each(self) -> None:
        for source, position in list(self._positions.items()):
            try:
                await self._send({source: position}, None, is_replay=False)
            except (NotFound, PositionAhead) as error:
                del self._positions[source]
                self._frames.send(error_frame(error.message, RESUME_FAILED))

    async def resume(self, chat: TranscriptSource, position: ClientPosition) -> None:
        """Replay one session from the position that the client reports. Raises NotFound and PositionAhead."""
        async with self._sending:
            await self._send({chat: position}, chat, is_replay=True)

    async def _send(self, positions: Positions | None, chat: TranscriptSource | None, *, is_replay: bool) -> None:
        """Send the turns after these positions; None is a new connection, which has nothing."""
        sources = list(self._positions if positions is None else positions)
        if not sources:
            return

        def records() -> Iterator[MixedTurn | ReplayBoundary]:
            return replay(
                self._services.transcript_readers,
                sources,
                clock=utc_now,
                positions=positions,
                chat=chat,
                tenant_id=self._tenant,
            )

        async for record in self._services.reading.stream(records):
            if isinstance(record, MixedTurn):
                await note_reading(self._services, self._access, [record.source])
                await self._frames.put(turn_frame(record, is_replay=is_replay))
                self._positions[record.source] = record.position  # so that a turn is not sent again after an outage
                continue
            self._positions.update(record.positions)
            if is_replay:
                await self._frames.put(envelope("chat.resume_boundary", record.to_dict()))
