"""The responder that is a function of the application, named as `module:function`."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import AsyncIterator, Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from chatstore_cli.aio.calls import Calls
from chatstore_cli.domain.errors import BadConfig
from chatstore_cli.domain.responding import Event, Part, Question, TurnUsage
from chatstore_cli.domain.usage import Usage
from chatstore_cli.server.answers import NoAnswer

_THREADS = 64
_DONE = object()


class HookResponder:
    """Calls the function with a Question. It returns a text, or yields texts and events; it may be a coroutine function.

    An event is a dictionary with a `type`. The type `usage` has `prompt_tokens`, `completion_tokens`, `total_tokens`,
    `cost` (None is unknown), `model` and `turn_id`. Plain functions and generators run in threads of their own.
    """

    def __init__(self, name: str, function: Callable[[Question], Any]) -> None:
        self._name, self._function = name, function
        self._calls = Calls(_THREADS)

    @classmethod
    def named(cls, name: str) -> HookResponder:
        """The responder of `module:function`. Raises BadConfig if it cannot be imported."""
        module, _, function = name.partition(":")
        try:
            found = getattr(importlib.import_module(module), function)
        except Exception as error:
            what = f"{name} cannot be imported: {type(error).__name__}: {error}"
            hint = "Name it as module:function. Its module must be on PYTHONPATH."
            raise BadConfig(where="chatstore.server.responder", what=what, hint=hint) from error
        if not callable(found):
            raise BadConfig(where="chatstore.server.responder", what=f"{name} is not a function.")
        return cls(name, found)

    async def respond(self, question: Question) -> AsyncIterator[Part]:
        if inspect.isasyncgenfunction(self._function) or inspect.iscoroutinefunction(self._function):
            answer = self._function(question)
        else:
            answer = await self._calls.call(self._function, question)
        if inspect.isawaitable(answer):
            answer = await answer
        if answer is None:
            return
        if isinstance(answer, str | dict):
            yield _part(answer)
        elif hasattr(answer, "__aiter__"):
            async for each in answer:
                yield _part(each)
        else:
            iterator = iter(answer)
            while (each := await self._calls.call(next, iterator, _DONE)) is not _DONE:
                yield _part(each)


def _part(each: Any) -> Part:
    if isinstance(each, str | TurnUsage | Event):
        return each
    if isinstance(each, dict) and isinstance(each.get("type"), str):
        data = {key: value for key, value in each.items() if key != "type"}
        return _usage(data) if each["type"] == "usage" else Event(each["type"], data)
    raise NoAnswer(
        reason=f"the function yielded a {type(each).__name__}; a text or a dictionary with a type is expected"
    )


def _usage(data: dict[str, Any]) -> TurnUsage:
    try:
        prompt, completion = int(data.get("prompt_tokens") or 0), int(data.get("completion_tokens") or 0)
        total = int(data.get("total_tokens") or prompt + completion)
        cost = None if data.get("cost") is None else Decimal(str(data["cost"]))
        turn_id = str(data["turn_id"])
    except (KeyError, TypeError, ValueError, InvalidOperation) as error:
        raise NoAnswer(reason="the function yielded usage without a turn_id, or with an invalid number") from error
    model = data.get("model")
    return TurnUsage(Usage(prompt, completion, total, cost), turn_id, None if model is None else str(model))
