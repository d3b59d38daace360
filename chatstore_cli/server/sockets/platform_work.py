"""What a client of the multi-agent platform asks for: input, switches, general mode, and new workflows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from chatstore_cli.domain.errors import ChatstoreError, Conflict, PrerequisiteRefused
from chatstore_cli.domain.mixed_transcript import GENERAL_LAYOUT, WORKFLOW_LAYOUT, TranscriptSource
from chatstore_cli.domain.responding import Event, TurnUsage
from chatstore_cli.domain.session_registry import COMPLETED, WorkflowContext
from chatstore_cli.server.error_bodies import refusal_of
from chatstore_cli.server.platform_turns import PlatformTurns
from chatstore_cli.server.services import Services
from chatstore_cli.server.sockets import platform_frames as wire
from chatstore_cli.server.sockets.frames import Frames
from chatstore_cli.server.sockets.platform_replay import PlatformReplay

_LOG = logging.getLogger("chatstore.server")
_MOST_WAITING = 10
"""Messages of one socket that wait for an answer. Each was recorded."""


class PlatformWork:
    """Serves the frames of one socket."""

    def __init__(
        self, services: Services, frames: Frames, replay: PlatformReplay, connection: str, tenant: str, user: str
    ) -> None:
        self._services, self._frames, self._replay, self._id = services, frames, replay, connection
        self._tenant, self._user = tenant, user
        self._turns = PlatformTurns(services, tenant, user)
        self._frontend: Mapping[str, Any] = {}
        self._general: dict[str, Any] | None = None
        self._waiting = 0

    async def follow_general_chat(self) -> None:
        """Replay the user's newest general chat too, if there is one."""
        chats = await self._services.reading.run(
            lambda: self._services.general.list_general_chats(app_id=self._tenant, user_id=self._user, limit=1)
        )
        if chats:
            self._use_general(chats[0])

    async def do(self, kind: str, frame: wire.ClientFrame) -> None:
        """Do what the frame asks for. Raises ChatstoreError, which the client gets as an error frame."""
        match frame:
            case wire.UserInput():
                await self._input(frame)
            case wire.UiToolResponse():
                self._send("ack.ui_tool_response", {"eventId": frame.eventId, "status": "rejected"})
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

    # --- input ---

    async def _input(self, frame: wire.UserInput) -> None:
        registry = self._services.registry
        is_general = await self._services.reading.run(lambda: registry.is_in_general_mode(self._id))
        if not frame.text.strip():
            code = "GENERAL_MODE_EMPTY_MESSAGE" if is_general else "USER_MESSAGE_FAILED"
            self._reject(frame, "The message is empty.", code)
        elif self._waiting >= _MOST_WAITING:
            self._reject(frame, "Earlier messages are still waiting for their answers.", "USER_MESSAGE_FAILED")
        elif is_general:
            await self._general_input(frame)
        else:
            await self._workflow_input(frame)

    async def _workflow_input(self, frame: wire.UserInput) -> None:
        registry = self._services.registry

        def chosen() -> WorkflowContext | None:
            if frame.chat_id is None:
                return registry.get_active_workflow(self._id)
            return registry.get_workflow_by_chat_id(self._id, frame.chat_id)

        workflow = await self._services.reading.run(chosen)
        if workflow is None or workflow.status == COMPLETED:
            message = "No such workflow is open. Switch to a workflow, start one, or enter general mode."
            self._reject(frame, message, "USER_MESSAGE_FAILED")
            return
        chat_id, name = workflow.chat_id, workflow.workflow_name
        self._replay.add(TranscriptSource(WORKFLOW_LAYOUT, chat_id))
        is_new = await self._turns.record_workflow_input(chat_id, name, frame.text, frame.request_id)
        self._acknowledge(frame, chat_id)
        if is_new:
            self._answer_later(chat_id, lambda: self._answer_workflow(chat_id, name, frame.text, frame.context))

    async def _general_input(self, frame: wire.UserInput) -> None:
        chat = await self._newest_or_new()
        chat_id = chat["chat_id"]
        workflows = [each.to_dict() for each in await self._workflows()]
        metadata = {"ui_context": frame.context or self._frontend, "workflows": workflows}
        is_new = await self._turns.record_general_input(chat_id, frame.text, frame.request_id, metadata)
        self._acknowledge(frame, chat_id)
        if is_new:
            self._answer_later(chat_id, lambda: self._answer_general(chat_id, frame.text, workflows, metadata))

    def _acknowledge(self, frame: wire.UserInput, chat_id: str) -> None:
        self._send("chat.input_ack", {"chat_id": chat_id, "status": "accepted"})
        if frame.request_id is not None:
            self._send("ack.input", {"input_request_id": frame.request_id, "status": "accepted"})

    def _reject(self, frame: wire.UserInput, message: str, code: str) -> None:
        if frame.request_id is not None:
            self._send("ack.input", {"input_request_id": frame.request_id, "status": "rejected"})
        self._frames.send(wire.error_frame(message, code))

    # --- answers ---

    def _answer_later(self, chat_id: str, answer: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Answer after earlier messages. The answer is recorded even if the client disconnects meanwhile."""

        async def in_turn() -> None:
            try:
                await answer()
            except ChatstoreError as error:
                _LOG.info("Session %s: no answer. %s", chat_id, error.as_text())
                self._frames.send(wire.error_frame(refusal_of(error).message, "USER_MESSAGE_FAILED"))
            finally:
                self._waiting -= 1

        self._waiting += 1
        self._services.in_background(in_turn())

    async def _answer_workflow(
        self, chat_id: str, workflow: str, text: str, context: Mapping[str, Any] | None = None
    ) -> None:
        shown = context or self._frontend
        await self._turns.answer_workflow(chat_id, workflow, text, lambda part: self._pass_on(chat_id, part), shown)
        self._send("chat.run_complete", {"chat_id": chat_id, "workflow_name": workflow})

    async def _answer_general(
        self, chat_id: str, text: str, workflows: list[dict[str, Any]], metadata: Mapping[str, Any]
    ) -> None:
        await self._turns.answer_general(chat_id, text, workflows, metadata, lambda part: self._pass_on(chat_id, part))

    def _pass_on(self, chat_id: str, part: TurnUsage | Event) -> None:
        if isinstance(part, Event):
            self._send(f"chat.{part.type}", {"chat_id": chat_id, **part.data})
            return
        used = part.usage
        figures = {
            "chat_id": chat_id,
            "prompt_tokens": used.prompt_tokens,
            "completion_tokens": used.completion_tokens,
            "total_tokens": used.total_tokens,
            "cost": None if used.cost is None else str(used.cost),
            "model": part.model,
        }
        self._send("chat.usage_delta", figures)
        self._send("chat.usage_summary", figures)

    # --- switches ---

    async def _switch(self, frame: wire.SwitchWorkflow) -> None:
        registry = self._services.registry

        def switch() -> tuple[WorkflowContext | None, WorkflowContext | None]:
            before = registry.get_active_workflow(self._id)
            return before, registry.switch_workflow(self._id, frame.chat_id)

        try:
            before, after = await self._services.reading.run(switch)
        except PrerequisiteRefused as error:
            self.blocked(frame.chat_id, error)
            return
        if after is None:
            raise Conflict(what="The workflow is not in this client session, or it is completed.")
        self._frontend = frame.frontend_context or self._frontend
        self._replay.add(TranscriptSource(WORKFLOW_LAYOUT, after.chat_id))
        switched = {
            "from_chat_id": None if before is None else before.chat_id,
            "to_chat_id": after.chat_id,
            "workflow_name": after.workflow_name,
            "artifact_id": after.artifact_id,
            "app_id": self._tenant,
        }
        self._send("chat.context_switched", switched)
        await self._replay.catch_up()

    async def _enter_general_mode(self) -> None:
        await self._services.reading.run(lambda: self._services.registry.enter_general_mode(self._id))
        chat = await self._newest_or_new()
        message = "Ask me anything! Workflows paused."
        self._send("chat.mode_changed", {"mode": "general", **_general_facts(chat), "message": message})

    async def _start_general_chat(self) -> None:
        await self._services.reading.run(lambda: self._services.registry.enter_general_mode(self._id))
        chat = await self._new_general()
        self._send("chat.general_session_created", _general_facts(chat))

    async def _newest_or_new(self) -> dict[str, Any]:
        await self.follow_general_chat()
        return self._general or await self._new_general()

    async def _new_general(self) -> dict[str, Any]:
        chat = await self._services.reading.run(
            lambda: self._services.general.create_general_chat_session(app_id=self._tenant, user_id=self._user)
        )
        self._use_general(chat)
        return chat

    def _use_general(self, chat: dict[str, Any]) -> None:
        self._general = chat
        self._replay.add(TranscriptSource(GENERAL_LAYOUT, chat["chat_id"]))

    async def _workflows(self) -> list[WorkflowContext]:
        return await self._services.reading.run(lambda: self._services.registry.get_all_workflows(self._id))

    # --- new workflows ---

    async def _start(self, frame: wire.StartWorkflow) -> None:
        try:
            chat_id = await self._new_chat(frame.workflow_name, activate=True)
        except PrerequisiteRefused as error:
            self.blocked(frame.workflow_name, error)
            return
        self._frontend = frame.frontend_context or self._frontend
        self._send("chat.workflow_started", self._started(chat_id, frame.workflow_name))
        await self._begin(chat_id, frame.workflow_name, frame.initial_message, auto_run=frame.auto_run)

    async def _start_batch(self, frame: wire.StartWorkflowBatch) -> None:
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
            self._send("chat.workflow_started", facts)
            await self._begin(chat_id, run.workflow_name, run.initial_message, auto_run=frame.auto_run)
        batch = {"count": len(started), "workflows": started, "blocked": blocked}
        self._send("chat.workflow_batch_started", batch)

    async def _new_chat(self, workflow: str, *, activate: bool) -> str:
        """Start a session and register it. Raises PrerequisiteRefused, and then there is no session."""
        services = self._services

        def start() -> str:
            chat_id = services.platform.new_id()
            services.registry.add_workflow(
                self._id, chat_id, workflow, self._tenant, self._user, auto_activate=activate
            )
            services.platform.create(chat_id, self._tenant, self._user, workflow)
            return chat_id

        chat_id = await services.reading.run(start)
        self._replay.add(TranscriptSource(WORKFLOW_LAYOUT, chat_id))
        return chat_id

    async def _begin(self, chat_id: str, workflow: str, text: str | None, *, auto_run: bool) -> None:
        if text is None or not text.strip():
            return
        await self._turns.record_workflow_input(chat_id, workflow, text, None)
        if auto_run:
            self._answer_later(chat_id, lambda: self._answer_workflow(chat_id, workflow, text))

    def _started(self, chat_id: str, workflow: str) -> dict[str, Any]:
        return {"chat_id": chat_id, "workflow_name": workflow, "app_id": self._tenant, "user_id": self._user}

    def blocked(self, workflow: str, error: PrerequisiteRefused) -> None:
        """Report a workflow that the application's prerequisites refuse."""
        data = {
            "workflow_name": workflow,
            "message": str(error.facts["reason"]),
            "error_code": "WORKFLOW_PREREQS_NOT_MET",
        }
        self._send("chat.prereq_blocked", data)

    def _send(self, kind: str, data: Mapping[str, Any]) -> None:
        self._frames.send(wire.envelope(kind, data))


def _general_facts(chat: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "general_chat_id": chat["chat_id"],
        "general_chat_label": chat["label"],
        "general_chat_sequence": chat["sequence"],
    }
