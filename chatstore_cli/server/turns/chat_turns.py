"""One turn of the chat application: record what the user wrote, ask the responder, record the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from chatstore_cli.domain.message import Message
from chatstore_cli.domain.responding import Event, Mode, Question, TurnUsage
from chatstore_cli.domain.times import utc_now
from chatstore_cli.server.services import Services
from chatstore_cli.server.turns.answers import Answer, NoAnswer, whole_answer

CLEAR_COMMANDS = frozenset({"/clear", "clear"})
CLEARED = "✨ Context cleared. Starting a new session."


def local_time() -> str:
    """The local time without a zone, which clients of this application expect."""
    return datetime.now().isoformat()  # noqa: DTZ005 - see above


class ChatTurns:
    """The turns of one session. `transport` is in the metadata of each message."""

    def __init__(self, services: Services, session_id: str, transport: Mapping[str, Any]) -> None:
        self._services, self._session_id, self._transport = services, session_id, transport

    async def answer(self, text: str, on_event: Callable[[Event], None] = lambda event: None) -> Answer:
        """Answer a message. Raises NoAnswer; the user's turn is recorded then too.

        If the session is deleted meanwhile, the answer is returned, and deleted with the message that it answers.
        """
        recorded = await self.record_user(text)
        asked = recorded or Message(self._session_id, "user", text, created_at=utc_now())
        if any(each is not recorded for each in self._services.cache.messages(self._session_id)):
            read_seconds = self._services.settings.chatstore.server.read_seconds
            await self._services.deletion_lookup.forget_deleted(self._session_id, read_seconds)
        question = Question(Mode.CHAT, self._session_id, text, self._history(recorded))
        seconds = self._services.settings.chatstore.server.responder_seconds

        def note(part: TurnUsage | Event) -> None:
            if isinstance(part, Event):
                on_event(part)

        answer = await whole_answer(self._services.responder, question, seconds, note)
        if not answer.text.strip():
            raise NoAnswer(reason="it yielded no text")
        await self.record("assistant", answer.text, {"status": "completed"}, asked)
        return answer

    def _history(self, asked: Message | None) -> list[Message]:
        """The messages since the context was last cleared, up to the one that is asked: others may come meanwhile."""
        messages = self._services.cache.messages(self._session_id)
        ids = [each.message_id for each in messages]
        if asked is not None and asked.message_id in ids:
            messages = messages[: ids.index(asked.message_id) + 1]
        cleared = [number for number, each in enumerate(messages, 1) if _is_cleared(each)]
        return messages[cleared[-1] :] if cleared else messages

    def answered(self) -> int:
        """How many messages were answered since the context was last cleared, of those in memory."""
        return sum(each.role == "assistant" for each in self._history(None))

    async def clear(self, command: str) -> None:
        """Record the command to clear the context, and the reply to it."""
        is_socket = self._transport.get("transport") == "websocket"
        asked = await self.record("user", command, {"input_type": "command"} if is_socket else {})
        await self.record("assistant", CLEARED, {"type": "system"} if is_socket else {"status": "cleared"}, asked)

    async def record_user(self, text: str) -> Message | None:
        """Record what the user wrote. An empty message is not recorded, but answered."""
        return await self.record("user", text, {}) if text.strip() else None

    async def record(
        self, role: str, text: str, metadata: Mapping[str, Any], reply_to: Message | None = None
    ) -> Message | None:
        """Record a message; None for an empty one."""
        if not text:
            return None
        cache, session_id, known = self._services.cache, self._session_id, {**self._transport, **metadata}
        return await self._services.recording.run(
            lambda: cache.record_chat_event(session_id, role, text, known, reply_to=reply_to)
        )


def _is_cleared(message: Message) -> bool:
    return message.role == "assistant" and message.content == CLEARED
