"""What a user writes on the multi-agent platform's socket: in a workflow, or in general mode."""

from __future__ import annotations

from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.mixed_transcript import GENERAL_LAYOUT
from chatstore_cli.domain.session_registry import COMPLETED
from chatstore_cli.server.sockets import platform_frames as wire
from chatstore_cli.server.sockets.platform_client import PlatformClient
from chatstore_cli.server.turns.platform_turns import PlatformTurns, UserTurn, general_session, workflow_session

_MOST_WAITING = 10
"""Messages of one socket that wait for an answer. Each was recorded."""


class PlatformInput:
    """Records the user's messages of one socket, acknowledges each, and has it answered."""

    def __init__(self, client: PlatformClient) -> None:
        self._client = client
        self._turns = PlatformTurns(client.services, client.tenant, client.user)

    async def submit(self, frame: wire.UserInput) -> None:
        """Record a message and acknowledge it. Raises ChatstoreError after it has rejected the message."""
        client = self._client
        try:
            is_general = await client.in_registry(lambda registry: registry.is_in_general_mode(client.connection))
            if not frame.text.strip():
                code = wire.GENERAL_MODE_EMPTY_MESSAGE if is_general else wire.USER_MESSAGE_FAILED
                self._reject(frame, "The message is empty.", code)
                return
            if self._turns.waiting >= _MOST_WAITING:
                self._reject(frame, "Earlier messages are still waiting for their answers.", wire.USER_MESSAGE_FAILED)
                return
            turn = await (self._general_turn(frame) if is_general else self._workflow_turn(frame))
            if turn is None:
                message = "No such workflow is open. Switch to a workflow, start one, or enter general mode."
                self._reject(frame, message, wire.USER_MESSAGE_FAILED)
                return
            client.replay.add(turn.session)
            await self._turns.record(turn, frame.request_id)
        except ChatstoreError:
            self._acknowledge(frame, "rejected")
            raise
        client.send("chat.input_ack", {"chat_id": turn.session.session_id, "status": "accepted"})
        self._acknowledge(frame, "accepted")
        self._turns.answer_later(turn)

    async def begin(self, chat_id: str, workflow: str, text: str | None, *, auto_run: bool) -> None:
        """Record the first message of a new workflow, if there is one, and have it answered with `auto_run`."""
        if text is None or not text.strip():
            return
        turn = self._turns.turn(workflow_session(chat_id), text, workflow=workflow, context=self._client.frontend)
        await self._turns.record(turn)
        if auto_run:
            self._turns.answer_later(turn)

    async def _workflow_turn(self, frame: wire.UserInput) -> UserTurn | None:
        """The message as a turn of the workflow that it names, or of the active one. None if that one is not open."""
        client, chat_id = self._client, frame.chat_id
        workflow = await client.in_registry(
            lambda registry: (
                registry.get_active_workflow(client.connection)
                if chat_id is None
                else registry.get_workflow_by_chat_id(client.connection, chat_id)
            )
        )
        if workflow is None or workflow.status == COMPLETED:
            return None
        session, name = workflow_session(workflow.chat_id), workflow.workflow_name
        context = frame.context or client.frontend
        return self._turns.turn(session, frame.text, frame.request_id, workflow=name, context=context)

    async def _general_turn(self, frame: wire.UserInput) -> UserTurn:
        """The message as a turn of the general chat that it names, or of the newest one."""
        client, chat_id = self._client, frame.chat_id
        if chat_id is None or not client.replay.follows(GENERAL_LAYOUT, chat_id):
            chat_id = (await client.general_chat())["chat_id"]
        workflows = await client.in_registry(lambda registry: registry.get_all_workflows(client.connection))
        return self._turns.turn(
            general_session(chat_id),
            frame.text,
            frame.request_id,
            workflows=[each.to_dict() for each in workflows],
            context=frame.context or client.frontend,
        )

    def _reject(self, frame: wire.UserInput, message: str, code: str) -> None:
        self._acknowledge(frame, "rejected")
        self._client.frames.send(wire.error_frame(message, code))

    def _acknowledge(self, frame: wire.UserInput, status: str) -> None:
        if frame.request_id is not None:
            self._client.send("ack.input", {"input_request_id": frame.request_id, "status": status})
