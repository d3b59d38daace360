"""The responder that repeats what the user wrote, for trying the server without a model."""

from __future__ import annotations

from collections.abc import AsyncIterator

from chatstore_cli.domain.responding import Part, Question


class EchoResponder:
    """Answers with the message, after a notice that no responder is configured."""

    async def respond(self, question: Question) -> AsyncIterator[Part]:
        yield f"Echo (no responder is configured): {question.text}"
