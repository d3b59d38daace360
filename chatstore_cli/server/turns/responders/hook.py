"""The responder that is a function of the application, named as `module:function`."""

from __future__ import annotations

import inspect
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from decimal import Decimal, InvalidOperation
from typing import Any

from chatstore_cli.aio.calls import Calls
from chatstore_cli.domain.responding import Event, Part, Question, TurnUsage
from chatstore_cli.domain.usage import Usage
from chatstore_cli.server.turns.answers import NoAnswer
from chatstore_cli.server.turns.named_functions import named_function

_THREADS = 64
_DONE = object()
_EXPECTED = "a text, or a dictionary with a type, is expected"


class HookResponder:
    """Calls the function with a Question. It returns a text, or yields texts and events; it may be a coroutine function.

    An event is a dictionary with a `type`. The type `usage` has `prompt_tokens`, `completion_tokens`, `cost` (None is
    unknown), `model` and `turn_id` (a new one by default). Plain functions and generators run in threads of their own; one
    that never returns keeps its thread. A coroutine function shares the thread of the server, so it must never block.
    """

    def __init__(self, name: str, function: Callable[[Question], Any]) -> None:
        self._name, self._function = name, function
        self._calls = Calls(_THREADS)

    @classmethod
    def named(cls, name: str) -> HookResponder:
        """The responder of `module:function`. Raises BadConfig if it cannot be imported."""
        return cls(name, named_function(name, setting="chatstore.server.responder"))

    async def respond(self, question: Question) -> AsyncIterator[Part]:
        if inspect.isasyncgenfunction(self._function) or inspect.iscoroutinefunction(self._function):
            answer = self._function(question)
        else:
            answer = await self._calls.call(self._function, question)
        if inspect.isawaitable(answer):
            answer = await answer
        if answer is None:
            return
        if isinstance(answer, str | dict | TurnUsage | Event):
            yield _part(answer)
        elif hasattr(answer, "__aiter__"):
            try:
                async for each in answer:
                    yield _part(each)
            finally:
                close = getattr(answer, "aclose", None)
                if close is not None:
                    await close()
        elif isinstance(answer, Iterable) and not isinstance(answer, bytes | bytearray):
            iterator = iter(answer)
            while (each := await self._calls.call(next, iterator, _DONE)) is not _DONE:
                yield _part(each)
        else:
            raise NoAnswer(reason=f"the function returned a {type(answer).__name__}; {_EXPECTED}")


def _part(each: Any) -> Part:
    if isinstance(each, str | TurnUsage | Event):
        return each
    if isinstance(each, dict) and isinstance(each.get("type"), str):
        data = {key: value for key, value in each.items() if key != "type"}
        return _usage(data) if each["type"] == "usage" else Event(each["type"], data)
    raise NoAnswer(reason=f"the function yielded a {type(each).__name__}; {_EXPECTED}")


def _usage(data: dict[str, Any]) -> TurnUsage:
    """The usage as it was reported. Whoever counts it checks its numbers."""
    model, numbers = data.get("model"), (data.get(name) for name in ("prompt_tokens", "completion_tokens"))
    prompt, completion = (0 if number is None else number for number in numbers)
    usage = Usage(prompt, completion, 0, _amount(data.get("cost")))
    return TurnUsage(usage, data.get("turn_id") or uuid.uuid4().hex, None if model is None else str(model))


def _amount(cost: Any) -> Any:
    """The cost with its exact digits, if it is a text such as "0.0001". Other texts remain, and are rejected."""
    if isinstance(cost, str) and cost.isascii():
        try:
            return Decimal(cost)
        except InvalidOperation:
            pass
    return cost
