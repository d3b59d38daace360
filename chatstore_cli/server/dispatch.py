"""The hook of a voice application: it makes tokens for callers, and sends an agent into the room."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from chatstore_cli.aio.calls import Calls
from chatstore_cli.domain.errors import BadConfig

_THREADS = 16


@dataclass(frozen=True, slots=True)
class DispatchRequest:
    """A call that begins. `config` is the whole resolved configuration, with its secrets: only the hook gets it."""

    room: str
    session_id: str
    user_identity: str
    agent_id: str | None
    tenant_id: str | None
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Dispatched:
    """What the caller needs to enter the room. Without a hook the fields are empty."""

    user_token: str | None = None
    url: str | None = None
    agent_dispatched: bool = False


class Dispatch:
    """Calls the function that `chatstore.server.dispatch` names, as `module:function`.

    The function gets a DispatchRequest and returns a dictionary with `userToken`, `livekitUrl` and, if it is not true,
    `agentDispatched`. It may be a coroutine function. If it raises an error, no agent was sent.
    """

    def __init__(self, function: Callable[[DispatchRequest], Any] | None) -> None:
        self._function = function
        self._calls = Calls(_THREADS)

    @classmethod
    def named(cls, name: str | None) -> Dispatch:
        """The hook of this name; None is no hook. Raises BadConfig if it cannot be imported."""
        if name is None:
            return cls(None)
        module, _, function = name.partition(":")
        try:
            found = getattr(importlib.import_module(module), function)
        except Exception as error:
            what = f"{name} cannot be imported: {type(error).__name__}: {error}"
            hint = "Name it as module:function. Its module must be on PYTHONPATH."
            raise BadConfig(where="chatstore.server.dispatch", what=what, hint=hint) from error
        if not callable(found):
            raise BadConfig(where="chatstore.server.dispatch", what=f"{name} is not a function.")
        return cls(found)

    async def send(self, request: DispatchRequest) -> Dispatched:
        """Call the hook. Raises the errors of the hook, and TypeError for an answer that is not a dictionary."""
        if self._function is None:
            return Dispatched()
        answer = (
            self._function(request)
            if inspect.iscoroutinefunction(self._function)
            else await self._calls.call(self._function, request)
        )
        if inspect.isawaitable(answer):
            answer = await answer
        if not isinstance(answer, Mapping):
            raise TypeError("the dispatch function must return a dictionary")
        return Dispatched(
            _text(answer.get("userToken")), _text(answer.get("livekitUrl")), answer.get("agentDispatched") is not False
        )


def _text(value: object) -> str | None:
    return None if value is None else str(value)
