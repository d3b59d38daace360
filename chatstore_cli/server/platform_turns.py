"""Turns of the multi-agent platform: what a user writes and what the responder answers, in a workflow or in general mode."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chatstore_cli.domain.message import Message
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.domain.responding import Event, Mode, Question, TurnUsage
from chatstore_cli.domain.workflow.chats import SavedAs
from chatstore_cli.server.answers import Answer, whole_answer
from chatstore_cli.server.input_requests import InputRequest
from chatstore_cli.server.services import Services

_NAME_SPACE = uuid.UUID("0b8f3c52-52b1-4b59-8c2a-9b0d8f0b7a11")
_HISTORY = 100
_ASSISTANT = "assistant"

OnPart = Callable[[TurnUsage | Event], None]


class PlatformTurns:
    """The turns of one user of one tenant."""

    def __init__(self, services: Services, tenant: str, user: str) -> None:
        self._services, self._tenant, self._user = services, tenant, user

    async def record_workflow_input(self, chat_id: str, workflow: str, text: str, request_id: str | None) -> bool:
        """Record what the user wrote in a workflow session. False if this `request_id` was recorded before.

        `request_id` may be that of a request for input, which is answered then.
        """
        event = _text_event(text, "user", _ASSISTANT, self._event_id(chat_id, request_id))
        is_new = await self._save_event(chat_id, workflow, event, source="ws")
        if request_id is not None:
            self._services.input_requests.close(request_id, self._tenant)
        return is_new

    async def answer_workflow(
        self, chat_id: str, workflow: str, text: str, on_part: OnPart, context: Mapping[str, Any] | None = None
    ) -> None:
        """Ask the responder in a workflow session, and record its answer. Raises NoAnswer.

        The questions of one session are asked one after the other.
        """
        asked_by = InputRequest(self._tenant, self._user, chat_id, workflow)

        def note(part: TurnUsage | Event) -> None:
            if isinstance(part, Event):
                self._services.input_requests.note(part, asked_by)
            on_part(part)

        async with self._services.lock("answer", "workflow", chat_id):
            history = await self._history("workflow", chat_id)
            question = Question(
                Mode.WORKFLOW, chat_id, text, history, self._tenant, self._user, workflow, context=context or {}
            )
            answer = await self._ask(question, note)
            if answer.text:
                event = _text_event(answer.text, _ASSISTANT, "user", str(uuid.uuid4()))
                await self._save_event(chat_id, workflow, event)
            await self._count(answer, chat_id, workflow, "workflow")

    async def record_general_input(
        self, chat_id: str, text: str, request_id: str | None, metadata: Mapping[str, Any]
    ) -> bool:
        """Record what the user wrote in a general chat. False if this `request_id` was recorded before."""
        return await self._append(chat_id, "user", text, self._event_id(chat_id, request_id), metadata)

    async def answer_general(
        self,
        chat_id: str,
        text: str,
        workflows: Sequence[Mapping[str, Any]],
        metadata: Mapping[str, Any],
        on_part: OnPart,
    ) -> None:
        """Ask the responder in a general chat, and record its answer and what it used. Raises NoAnswer."""
        async with self._services.lock("answer", "general", chat_id):
            history = await self._history("general", chat_id)
            question = Question(
                Mode.GENERAL,
                chat_id,
                text,
                history,
                self._tenant,
                self._user,
                None,
                workflows,
                await self._artifacts(workflows),
                metadata["ui_context"],
            )
            answer = await self._ask(question, on_part)
            if answer.text:
                await self._append(chat_id, _ASSISTANT, answer.text, None, metadata)
            await self._count(answer, chat_id, None, "general")

    async def _ask(self, question: Question, on_part: OnPart) -> Answer:
        seconds = self._services.settings.chatstore.server.responder_seconds
        return await whole_answer(self._services.responder, question, seconds, on_part)

    async def _save_event(
        self, chat_id: str, workflow: str, event: Mapping[str, Any], *, source: str | None = None
    ) -> bool:
        """Store an event; False if it was stored before."""
        services = self._services
        saved = await services.reading.run(
            lambda: services.agents_manager.save_event(
                event,
                chat_id=chat_id,
                enterprise_id=self._tenant,
                user_id=self._user,
                workflow_name=workflow,
                source=source,
            )
        )
        services.live.touch("workflow", chat_id)
        return saved.saved_as is not SavedAs.DUPLICATE

    async def _append(
        self, chat_id: str, role: str, text: str, event_id: str | None, metadata: Mapping[str, Any]
    ) -> bool:
        """Store a message; False if it was stored before."""
        services = self._services
        kept = await services.reading.run(
            lambda: services.general.keep_message(
                general_chat_id=chat_id,
                app_id=self._tenant,
                role=role,
                content=text,
                user_id=self._user,
                metadata=metadata,
                event_id=event_id,
            )
        )
        services.live.touch("general", chat_id)
        return kept.is_new

    async def _count(self, answer: Answer, chat_id: str, workflow: str | None, kind: str) -> None:
        """Put what the answer used into the usage ledger, each turn once."""
        for used in answer.usage:
            await self._services.reading.run(lambda used=used: self._store(used, chat_id, workflow, kind))  # type: ignore[misc]  # bound now

    def _store(self, used: TurnUsage, chat_id: str, workflow: str | None, kind: str) -> None:
        self._services.session_metrics.update_session_metrics(
            chat_id,
            self._user,
            workflow,
            used.usage.prompt_tokens,
            used.usage.completion_tokens,
            used.usage.cost,
            self._tenant,
            agent_name=_ASSISTANT,
            session_type=kind,
            turn_id=used.turn_id,
            model_name=used.model,
        )

    async def _history(self, layout: str, chat_id: str) -> list[Message]:
        def read() -> list[Message]:
            [reader] = self._services.stores.session_readers(layout)
            return list(reader.messages(chat_id, MessageSelection(last=_HISTORY)))

        return await self._services.reading.run(read)

    async def _artifacts(self, workflows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The artifacts that the workflows of the client session work on."""
        ids = [each["artifact_id"] for each in workflows if isinstance(each.get("artifact_id"), str)]

        def read() -> list[dict[str, Any]]:
            reader = self._services.artifacts
            found = (reader.instance(each, self._tenant) for each in ids)
            return [
                {"artifact_id": each.artifact_id, "artifact_type": each.artifact_type, "state": each.state}
                for each in found
                if each is not None
            ]

        return await self._services.reading.run(read) if ids else []

    def _event_id(self, chat_id: str, request_id: str | None) -> str:
        if request_id is None:
            return str(uuid.uuid4())
        return str(uuid.uuid5(_NAME_SPACE, "\0".join((self._tenant, self._user, chat_id, request_id))))


def _text_event(text: str, sender: str, recipient: str, event_id: str) -> dict[str, Any]:
    """A text event as AG2 emits it, whose identity is its uuid."""
    return {"type": "text", "content": {"uuid": event_id, "content": text, "sender": sender, "recipient": recipient}}
