"""One connected client of the multi-agent platform: who it is, and what the parts of its socket share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from chatstore_cli.core.session_registry.registry import SessionRegistry
from chatstore_cli.domain.errors import PrerequisiteRefused
from chatstore_cli.domain.mixed_transcript import TranscriptSource
from chatstore_cli.server.services import Services
from chatstore_cli.server.sockets import platform_frames as wire
from chatstore_cli.server.sockets.frames import Frames
from chatstore_cli.server.sockets.platform_replay import PlatformReplay
from chatstore_cli.server.turns.platform_turns import general_session, workflow_session

T = TypeVar("T")


@dataclass
class PlatformClient:
    """A client. `connection` is its id in the session registry, `frontend` the last `frontend_context` that it sent."""

    services: Services
    frames: Frames
    replay: PlatformReplay
    connection: str
    tenant: str
    user: str
    frontend: Mapping[str, Any] = field(default_factory=dict)

    def send(self, kind: str, data: Mapping[str, Any]) -> None:
        """Send a frame."""
        self.frames.send(wire.envelope(kind, data))

    def blocked(self, workflow: str, error: PrerequisiteRefused) -> None:
        """Report a workflow that the application's prerequisites refuse."""
        reason = str(error.facts["reason"])
        data = {"workflow_name": workflow, "message": reason, "error_code": "WORKFLOW_PREREQS_NOT_MET"}
        self.send("chat.prereq_blocked", data)

    async def in_registry(self, call: Callable[[SessionRegistry], T]) -> T:
        """The result of a call of the session registry."""
        return await self.services.reading.run(lambda: call(self.services.registry))

    async def own_session(self, session_id: str) -> TranscriptSource | None:
        """The session of this user with that id: one that the client follows, one of its workflows, or a general chat."""
        workflow, general = workflow_session(session_id), general_session(session_id)
        if self.replay.follows(*workflow):
            return workflow
        if await self.in_registry(lambda registry: registry.get_workflow_by_chat_id(self.connection, session_id)):
            return workflow
        if self.replay.follows(*general):
            return general
        [reader] = self.services.stores.session_readers(general.layout)
        chat = await self.services.reading.run(lambda: reader.find(session_id))
        if chat is None or (chat.tenant_id, chat.user_id) != (self.tenant, self.user):
            return None
        return general_session(chat.session_id)

    async def newest_general_chat(self) -> dict[str, Any] | None:
        """The user's newest general chat, whose turns the client gets from now on."""
        general = self.services.general
        chats = await self.services.reading.run(
            lambda: general.list_general_chats(app_id=self.tenant, user_id=self.user, limit=1)
        )
        if not chats:
            return None
        self.replay.add(general_session(chats[0]["chat_id"]))
        return chats[0]

    async def new_general_chat(self) -> dict[str, Any]:
        """A new general chat, whose turns the client gets from now on."""
        general = self.services.general
        chat = await self.services.reading.run(
            lambda: general.create_general_chat_session(app_id=self.tenant, user_id=self.user)
        )
        self.replay.add(general_session(chat["chat_id"]))
        return chat

    async def general_chat(self) -> dict[str, Any]:
        """The newest general chat, or a new one if there is none."""
        async with self.services.lock("general", self.tenant, self.user):  # two sockets must not both find none
            return await self.newest_general_chat() or await self.new_general_chat()
