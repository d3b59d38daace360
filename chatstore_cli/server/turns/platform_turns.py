"""Turns of the multi-agent platform: what a user writes and what the responder answers, in a workflow or in general mode."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.message import Message
from chatstore_cli.domain.mixed_transcript import GENERAL_LAYOUT, WORKFLOW_LAYOUT, TranscriptSource
from chatstore_cli.domain.queries import MessageSelection
from chatstore_cli.domain.responding import Event, Mode, Question, TurnUsage
from chatstore_cli.domain.workflow.chats import SavedAs
from chatstore_cli.server.errors.error_bodies import refusal_of, unexpected
from chatstore_cli.server.live import LiveFrame
from chatstore_cli.server.services import Services
from chatstore_cli.server.sockets import platform_frames as wire
from chatstore_cli.server.turns.answers import whole_answer
from chatstore_cli.server.turns.input_requests import InputRequest

_LOG = logging.getLogger("chatstore.server")
_NAME_SPACE = uuid.UUID("0b8f3c52-52b1-4b59-8c2a-9b0d8f0b7a11")
_HISTORY = 100
_USER = "user"
_ASSISTANT = "assistant"
_SOURCE = "ws"
"""How a user's turn arrived, as the platform stores it."""


@dataclass(frozen=True)
class UserTurn:
    """What a user writes in a session. `turn_id` identifies it: a repeated turn is recorded and answered once.

    `workflow` is None in a general chat. `workflows` are those of the client session, for a general chat. `context` is
    what the client sent about its user interface.
    """

    session: TranscriptSource
    turn_id: str
    text: str
    workflow: str | None = None
    workflows: Sequence[Mapping[str, Any]] = ()
    context: Mapping[str, Any] = field(default_factory=dict)

    @property
    def answer_id(self) -> str:
        """The id of the answer."""
        return _event_id(self.session, "answer", self.turn_id)

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata of the turn and of its answer in a general chat."""
        return {"ui_context": dict(self.context), "workflows": list(self.workflows)}


class PlatformTurns:
    """The turns of one user of one tenant. The sockets that follow a session get its turns, and the events of its answers."""

    def __init__(self, services: Services, tenant: str, user: str) -> None:
        self._services, self._tenant, self._user = services, tenant, user
        self.waiting = 0
        """Turns that wait for an answer. Each was recorded."""

    def turn(
        self,
        session: TranscriptSource,
        text: str,
        request_id: str | None = None,
        *,
        workflow: str | None = None,
        workflows: Sequence[Mapping[str, Any]] = (),
        context: Mapping[str, Any] | None = None,
    ) -> UserTurn:
        """A turn of this user. Without `request_id` it is a new one; the same `request_id` means the same turn."""
        own = str(uuid.uuid4()) if not request_id else "\0".join((self._tenant, self._user, request_id))
        return UserTurn(session, _event_id(session, _USER, own), text, workflow, workflows, context or {})

    async def record(self, turn: UserTurn, request_id: str | None = None) -> None:
        """Record what the user wrote, once. `request_id` may be that of a request for input, which is answered then."""
        await self._save(turn, turn.turn_id, turn.text, _USER)
        if request_id:
            answered = InputRequest(self._tenant, self._user, turn.session.session_id, turn.workflow or "")
            self._services.input_requests.close(request_id, answered)

    def answer_later(self, turn: UserTurn) -> None:
        """Answer a recorded turn after earlier ones of its session, also if the client disconnects meanwhile.

        A turn that is answered already is not answered again, so this may be repeated.
        """
        self.waiting += 1
        self._services.in_background(self._answer_reported(turn))

    async def _answer_reported(self, turn: UserTurn) -> None:
        code = wire.GENERAL_MODE_FAILED if turn.workflow is None else wire.USER_MESSAGE_FAILED
        try:
            async with self._services.lock("answer", *turn.session):
                await self._answer(turn)
        except ChatstoreError as error:
            _LOG.info("Session %s: no answer. %s", turn.session, error.as_text())
            self._send(turn, wire.error_frame(refusal_of(error).message, code), after_turns=True)
        except Exception:  # noqa: BLE001 - nobody awaits this task, and the client must learn that no answer comes
            _LOG.exception("Session %s: no answer.", turn.session)
            self._send(turn, wire.error_frame(unexpected().message, code), after_turns=True)
        finally:
            self.waiting -= 1

    async def _answer(self, turn: UserTurn) -> None:
        """Ask the responder, and record its answer and what it used. Raises ChatstoreError."""
        stored = await self._stored(turn.session)
        if any(each.message_id == turn.answer_id for each in stored):
            return
        used: list[TurnUsage] = []
        try:
            text = await self._ask(await self._question(turn, stored), turn, used)
            if text:
                await self._save(turn, turn.answer_id, text, _ASSISTANT)
        finally:
            for each in used:  # what a failed answer used was paid too
                await self._services.reading.run(lambda each=each: self._count(turn, each))  # type: ignore[misc]  # bound now
        if turn.workflow is not None:
            data = {"chat_id": turn.session.session_id, "workflow_name": turn.workflow}
            self._send(turn, wire.envelope("chat.run_complete", data), after_turns=True)

    async def _ask(self, question: Question, turn: UserTurn, used: list[TurnUsage]) -> str:
        """The text of the answer. What it used is added to `used`, also if it fails then. Raises NoAnswer."""

        def pass_on(part: TurnUsage | Event) -> None:
            if isinstance(part, Event):
                self._note_event(turn, part)
                return
            used.append(part)
            for kind in ("chat.usage_delta", "chat.usage_summary"):
                self._send(turn, wire.usage_frame(kind, turn.session.session_id, part))

        seconds = self._services.settings.chatstore.server.responder_seconds
        return (await whole_answer(self._services.responder, question, seconds, pass_on)).text

    def _note_event(self, turn: UserTurn, event: Event) -> None:
        session_id = turn.session.session_id
        if turn.workflow is not None:
            asked_by = InputRequest(self._tenant, self._user, session_id, turn.workflow)
            self._services.input_requests.note(event, asked_by)
        self._send(turn, wire.envelope(f"chat.{event.type}", {"chat_id": session_id, **event.data}))

    def _send(self, turn: UserTurn, frame: Mapping[str, Any], *, after_turns: bool = False) -> None:
        self._services.live.send(*turn.session, LiveFrame(frame, after_turns))

    async def _question(self, turn: UserTurn, stored: Sequence[Message]) -> Question:
        return Question(
            Mode.GENERAL if turn.workflow is None else Mode.WORKFLOW,
            turn.session.session_id,
            turn.text,
            _history(stored, turn),
            self._tenant,
            self._user,
            turn.workflow,
            turn.workflows,
            await self._artifacts(turn.workflows),
            turn.context,
        )

    async def _stored(self, session: TranscriptSource) -> list[Message]:
        def read() -> list[Message]:
            [reader] = self._services.stores.session_readers(session.layout)
            return list(reader.messages(session.session_id, MessageSelection(last=_HISTORY)))

        return await self._services.reading.run(read)

    async def _artifacts(self, workflows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The artifacts that these workflows work on."""
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

    async def _save(self, turn: UserTurn, event_id: str, text: str, role: str) -> bool:
        """Store a turn; False if it was stored before."""
        save = self._save_general if turn.workflow is None else self._save_workflow
        is_new = await self._services.reading.run(lambda: save(turn, event_id, text, role))
        self._services.live.touch(*turn.session)
        return is_new

    def _save_workflow(self, turn: UserTurn, event_id: str, text: str, role: str) -> bool:
        saved = self._services.agents_manager.save_event(
            _text_event(text, role, event_id),
            chat_id=turn.session.session_id,
            enterprise_id=self._tenant,
            user_id=self._user,
            workflow_name=turn.workflow,
            source=_SOURCE if role == _USER else None,
        )
        return saved.saved_as is not SavedAs.DUPLICATE

    def _save_general(self, turn: UserTurn, event_id: str, text: str, role: str) -> bool:
        kept = self._services.general.keep_message(
            general_chat_id=turn.session.session_id,
            app_id=self._tenant,
            role=role,
            content=text,
            user_id=self._user,
            metadata=turn.metadata,
            event_id=event_id,
        )
        return kept.is_new

    def _count(self, turn: UserTurn, used: TurnUsage) -> None:
        """Put what an answer used into the usage ledger, once."""
        self._services.session_metrics.update_session_metrics(
            turn.session.session_id,
            self._user,
            turn.workflow,
            used.usage.prompt_tokens,
            used.usage.completion_tokens,
            used.usage.cost,
            self._tenant,
            agent_name=_ASSISTANT,
            session_type="general" if turn.workflow is None else "workflow",
            turn_id=used.turn_id,
            model_name=used.model,
        )


def workflow_session(chat_id: str) -> TranscriptSource:
    """A workflow session, as a source of turns."""
    return TranscriptSource(WORKFLOW_LAYOUT, chat_id)


def general_session(chat_id: str) -> TranscriptSource:
    """A general chat, as a source of turns."""
    return TranscriptSource(GENERAL_LAYOUT, chat_id)


def _event_id(session: TranscriptSource, kind: str, name: str) -> str:
    identity = uuid.uuid5(_NAME_SPACE, "\0".join((session.session_id, kind, name)))
    return f"general_{identity}" if session.layout == GENERAL_LAYOUT else str(identity)


def _history(stored: Sequence[Message], turn: UserTurn) -> list[Message]:
    """The stored messages, with the turn at the end, and without what users wrote after it: that is answered later."""
    own = next((place for place, each in enumerate(stored) if each.message_id == turn.turn_id), None)
    if own is None:
        return list(stored)
    answers = [each for each in stored[own + 1 :] if each.role != _USER]
    return [*stored[:own], *answers, stored[own]]


def _text_event(text: str, role: str, event_id: str) -> dict[str, Any]:
    """A text event as AG2 emits it, whose identity is its uuid."""
    recipient = _ASSISTANT if role == _USER else _USER
    return {"type": "text", "content": {"uuid": event_id, "content": text, "sender": role, "recipient": recipient}}
