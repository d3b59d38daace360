"""What a client of the multi-agent platform asks for besides input: switches, general mode, and new workflows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chatstore_cli.core.session_registry.registry import SessionRegistry
from chatstore_cli.domain.errors import Conflict, PrerequisiteRefused
from chatstore_cli.domain.session_registry import WorkflowContext
from chatstore_cli.server.sockets import platform_frames as wire
from chatstore_cli.server.sockets.platform_client import PlatformClient
from chatstore_cli.server.sockets.platform_input import PlatformInput
from chatstore_cli.server.turns.platform_turns import workflow_session


class PlatformWork:
    """Serves the frames of one client."""

    def __init__(self, client: PlatformClient) -> None:
        self._client = client
        self._input = PlatformInput(client)

    async def do(self, kind: str, frame: wire.ClientFrame) -> None:
        """Do what the frame asks for. Raises ChatstoreError, which the client gets as an error frame."""
        match frame:
            case wire.UserInput():
                await self._input.submit(frame)
            case wire.UiToolResponse():
                rejected = {"eventId": frame.eventId, "status": "rejected"}
                self._client.send("ack.ui_tool_response", rejected)
            case wire.SwitchWorkflow():
                await self._switch(frame)
            case wire.StartWorkflow():
                await self._start(frame)
            case wire.StartWorkflowBatch():
                await self._start_batch(frame)
            case _ if kind == "chat.start_general_chat":
                await self._start_general_chat()
            case _:
                await self._enter_general_mode()

    # --- switches ---

    async def _switch(self, frame: wire.SwitchWorkflow) -> None:
        client = self._client

        def switch(registry: SessionRegistry) -> tuple[WorkflowContext | None, WorkflowContext | None]:
            before = registry.get_active_workflow(client.connection)
            return before, registry.switch_workflow(client.connection, frame.chat_id)

        try:
            before, after = await client.in_registry(switch)
        except PrerequisiteRefused as error:
            refused = await client.in_registry(
                lambda registry: registry.get_workflow_by_chat_id(client.connection, frame.chat_id)
            )
            client.blocked("" if refused is None else refused.workflow_name, error)
            return
        if after is None:
            raise Conflict(what="The workflow is not in this client session, or it is completed.")
        client.frontend = frame.frontend_context or client.frontend
        switched = {
            "from_chat_id": None if before is None else before.chat_id,
            "to_chat_id": after.chat_id,
            "workflow_name": after.workflow_name,
            "artifact_id": after.artifact_id,
            "app_id": client.tenant,
        }
        client.send("chat.context_switched", switched)
        client.replay.add(workflow_session(after.chat_id))
        await client.replay.catch_up()

    async def _enter_general_mode(self) -> None:
        client = self._client
        await client.in_registry(lambda registry: registry.enter_general_mode(client.connection))
        facts = _general_facts(await client.general_chat())
        message = "Ask me anything! Workflows paused."
        client.send("chat.mode_changed", {"mode": "general", **facts, "message": message})
        await client.replay.catch_up()

    async def _start_general_chat(self) -> None:
        client = self._client
        await client.in_registry(lambda registry: registry.enter_general_mode(client.connection))
        client.send("chat.general_session_created", _general_facts(await client.new_general_chat()))

    # --- new workflows ---

    async def _start(self, frame: wire.StartWorkflow) -> None:
        client = self._client
        try:
            chat_id = await self._new_chat(frame.workflow_name, activate=True)
        except PrerequisiteRefused as error:
            client.blocked(frame.workflow_name, error)
            return
        client.frontend = frame.frontend_context or client.frontend
        client.send("chat.workflow_started", self._started(chat_id, frame.workflow_name))
        await self._input.begin(chat_id, frame.workflow_name, frame.initial_message, auto_run=frame.auto_run)

    async def _start_batch(self, frame: wire.StartWorkflowBatch) -> None:
        client = self._client
        started: list[dict[str, Any]] = []
        blocked: list[dict[str, Any]] = []
        for number, run in enumerate(frame.runs):
            activate = frame.activate_first and number == 0
            try:
                chat_id = await self._new_chat(run.workflow_name, activate=activate)
            except PrerequisiteRefused as error:
                blocked.append({"workflow_name": run.workflow_name, "message": str(error.facts["reason"])})
                continue
            facts = self._started(chat_id, run.workflow_name) | ({} if run.label is None else {"label": run.label})
            started.append(facts)
            client.send("chat.workflow_started", facts)
            await self._input.begin(chat_id, run.workflow_name, run.initial_message, auto_run=frame.auto_run)
        batch = {"count": len(started), "workflows": started, "blocked": blocked}
        client.send("chat.workflow_batch_started", batch)

    async def _new_chat(self, workflow: str, *, activate: bool) -> str:
        """Start a session and register it. Raises PrerequisiteRefused, and then there is no session."""
        client = self._client
        platform = client.services.platform

        def start(registry: SessionRegistry) -> str:
            chat_id = platform.new_id()
            registry.add_workflow(
                client.connection, chat_id, workflow, client.tenant, client.user, auto_activate=activate
            )
            platform.create(chat_id, client.tenant, client.user, workflow)
            return chat_id

        chat_id = await client.in_registry(start)
        client.replay.add(workflow_session(chat_id))
        return chat_id

    def _started(self, chat_id: str, workflow: str) -> dict[str, Any]:
        client = self._client
        return {"chat_id": chat_id, "workflow_name": workflow, "app_id": client.tenant, "user_id": client.user}


def _general_facts(chat: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "general_chat_id": chat["chat_id"],
        "general_chat_label": chat["label"],
        "general_chat_sequence": chat["sequence"],
    }
