"""Asks the responder, within a time limit, and puts the parts of its answer together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from chatstore_cli.core.usage.metrics import MAX_TURN_ID
from chatstore_cli.core.usage.reported import token_count, valid_cost
from chatstore_cli.domain.content import json_safe
from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.responding import Event, Part, Question, Responder, TurnUsage
from chatstore_cli.domain.usage import Usage

_LOG = logging.getLogger("chatstore.server")

MOST_TEXT = 4 * 1024 * 1024
"""Characters of one answer. A responder that never ends must not fill the memory."""
MOST_PARTS = 100_000
"""Events and reports of usage in one answer."""


class NoAnswer(ChatstoreError):
    """The responder did not answer: {reason}."""

    kind = "no_answer"


@dataclass(slots=True)
class Answer:
    """The answer so far."""

    usage: list[TurnUsage] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    _texts: list[str] = field(default_factory=list)
    _characters: int = 0

    @property
    def text(self) -> str:
        """The text so far, as it can be stored and sent: halves of a character are put together, or replaced."""
        return "".join(self._texts).encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def add(self, part: Part) -> None:
        """Add a part. Raises NoAnswer if the answer becomes too long."""
        if isinstance(part, str):
            self._texts.append(part)
            self._characters += len(part)
            if self._characters > MOST_TEXT:
                raise NoAnswer(reason=f"its answer has more than {MOST_TEXT:,} characters")
        else:
            self.usage.append(part) if isinstance(part, TurnUsage) else self.events.append(part)
            if len(self.usage) + len(self.events) > MOST_PARTS:
                raise NoAnswer(reason=f"its answer has more than {MOST_PARTS:,} events")


@dataclass(frozen=True, slots=True)
class _End:
    """The end of the answer, with the error if there was one."""

    error: BaseException | None


_asking: set[asyncio.Task[None]] = set()
"""Tasks that ask a responder. The event loop itself keeps no strong reference to them."""


async def whole_answer(
    responder: Responder, question: Question, seconds: float, on_part: Callable[[TurnUsage | Event], None]
) -> Answer:
    """The answer when it is complete. `on_part` gets its events and usage as they come.

    Raises NoAnswer if the responder fails, yields nothing, or takes more than `seconds`. The responder runs in a task of
    its own. So nothing that it raises ends the caller, also not a SystemExit or the cancellation of something else, and a
    responder that does not end when it is cancelled is not waited for.
    """
    answer = Answer()
    parts: asyncio.Queue[Part | _End] = asyncio.Queue()
    task = asyncio.create_task(_ask(responder, question, parts))
    _asking.add(task)
    task.add_done_callback(_asking.discard)
    try:
        async with asyncio.timeout(seconds):
            while not isinstance(part := await parts.get(), _End):
                answer.add(part)
                if not isinstance(part, str):
                    on_part(part)
        if part.error is not None:
            raise _failure(part.error) from part.error
        if not (answer.text or answer.events or answer.usage):
            raise NoAnswer(reason="it yielded nothing")
    except TimeoutError as error:
        _LOG.warning("The responder took more than %g seconds.", seconds)
        raise NoAnswer(reason=f"it took more than {seconds:g} seconds") from error
    except NoAnswer as error:
        _LOG.warning("%s", error.as_text())
        raise
    finally:
        task.cancel()
    return answer


async def _ask(responder: Responder, question: Question, parts: asyncio.Queue[Part | _End]) -> None:
    error: BaseException | None = None
    try:
        given = responder.respond(question)
        try:
            async for part in given:
                if (checked := _checked(part)) is not None:
                    parts.put_nowait(checked)
                await asyncio.sleep(0)  # the reader of the parts must run, also if the responder never waits
        finally:
            close = getattr(given, "aclose", None)
            if close is not None:
                await close()
    except BaseException as raised:  # noqa: BLE001 - raised by whole_answer
        error = raised
    parts.put_nowait(_End(error))


def _checked(part: Any) -> Part | None:
    """The part as it can be stored and sent; None for usage that no ledger takes. Raises NoAnswer."""
    if isinstance(part, str):
        return part
    if isinstance(part, Event):
        return Event(part.type, json_safe(part.data))
    if not isinstance(part, TurnUsage):
        raise NoAnswer(reason=f"it yielded a {type(part).__name__}; a text, an Event or a TurnUsage is expected")
    try:
        return _valid_usage(part)
    except ValueError as error:
        _LOG.warning("The responder's usage is not counted: %s.", error)
        return None


def _valid_usage(used: TurnUsage) -> TurnUsage:
    """The same usage with valid numbers; missing ones are 0. Raises ValueError."""
    prompt, completion = token_count(used.usage.prompt_tokens) or 0, token_count(used.usage.completion_tokens) or 0
    if not isinstance(used.turn_id, str) or not 0 < len(used.turn_id.encode()) <= MAX_TURN_ID or "\0" in used.turn_id:
        raise ValueError(f"turn_id is not a text of 1 to {MAX_TURN_ID} bytes")
    return TurnUsage(
        Usage(prompt, completion, prompt + completion, valid_cost(used.usage.cost)), used.turn_id, used.model
    )


def _failure(error: BaseException) -> NoAnswer:
    if isinstance(error, NoAnswer):
        return error
    _LOG.warning("The responder failed.", exc_info=error)
    return NoAnswer(reason=f"it failed ({type(error).__name__})")
