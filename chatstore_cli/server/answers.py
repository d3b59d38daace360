"""Asks the responder, within a time limit, and puts the parts of its answer together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field

from chatstore_cli.domain.errors import ChatstoreError, Overdue
from chatstore_cli.domain.responding import Event, Part, Question, Responder, TurnUsage

_LOG = logging.getLogger("chatstore.server")

MOST_TEXT = 4 * 1024 * 1024
"""Most characters of one answer. A responder that never ends must not fill the memory."""


class NoAnswer(ChatstoreError):
    """The responder did not answer: {reason}."""

    kind = "no_answer"


@dataclass(slots=True)
class Answer:
    """The answer so far."""

    text: str = ""
    usage: list[TurnUsage] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def add(self, part: Part) -> None:
        """Add a part. Raises NoAnswer if the text becomes too long, or for a part of another type."""
        if isinstance(part, str):
            self.text += part
            if len(self.text) > MOST_TEXT:
                raise NoAnswer(reason=f"its answer has more than {MOST_TEXT:,} characters")
        elif isinstance(part, TurnUsage):
            self.usage.append(part)
        elif isinstance(part, Event):
            self.events.append(part)
        else:
            raise NoAnswer(reason=f"it yielded a {type(part).__name__}")


async def parts_of(responder: Responder, question: Question, seconds: float) -> AsyncGenerator[Part]:
    """The parts of the answer, as they come. Raises Overdue after `seconds` for the whole answer, and NoAnswer."""
    answered = False
    try:
        async with asyncio.timeout(seconds), aclosing(_closable(responder.respond(question))) as parts:
            async for part in parts:
                answered = True
                yield part
    except TimeoutError as error:
        raise Overdue(what=f"The responder did not answer within {seconds:g} seconds.") from error
    except ChatstoreError:
        raise
    except Exception as error:
        _LOG.warning("The responder failed.", exc_info=error)
        raise NoAnswer(reason=f"it failed ({type(error).__name__})") from error
    if not answered:
        raise NoAnswer(reason="it yielded nothing")


async def whole_answer(responder: Responder, question: Question, seconds: float) -> Answer:
    """The answer when it is complete. Raises Overdue and NoAnswer."""
    answer = Answer()
    async with aclosing(parts_of(responder, question, seconds)) as parts:
        async for part in parts:
            answer.add(part)
    return answer


def _closable(parts: AsyncIterator[Part]) -> _Closable:
    return _Closable(parts)


class _Closable:
    """An async iterator that can be closed, also if a responder's is not a generator."""

    def __init__(self, parts: AsyncIterator[Part]) -> None:
        self._parts = parts

    def __aiter__(self) -> AsyncIterator[Part]:
        return self._parts.__aiter__()

    async def aclose(self) -> None:
        """Close the iterator, if it can be closed."""
        close = getattr(self._parts, "aclose", None)
        if close is not None:
            await close()
