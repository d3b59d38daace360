"""Responders for tests: answers that a test chooses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from chatstore_cli.domain.responding import Part, Question
from tests.support.served_app import Served


def answering(server: Served, *parts: Any) -> list[Question]:
    """Let the server's responder yield these parts, or raise one that is an error; without any, `answer N`.

    Returns the questions that it gets.
    """
    questions: list[Question] = []

    class Answering:
        async def respond(self, question: Question) -> AsyncIterator[Part]:
            questions.append(question)
            for part in parts or (f"answer {len(questions)}",):
                if isinstance(part, BaseException):
                    raise part
                yield part

    server.services.responder = Answering()
    return questions
