"""The hook of a voice application: it makes tokens for callers, and sends an agent into the room."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from chatstore_cli.aio.calls import Calls
from chatstore_cli.server.turns.named_functions import named_function

_THREADS = 16


@dataclass(frozen=True, slots=True)
class DispatchRequest:
    """A call that begins. `config` is the whole resolved configuration, with its secrets: only the hook gets it."""

    room: str
    session_id: str
    user_identity: str
    agent_id: str | None
    tenant_id: str | None
    config: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Dispatched:
    """What the caller needs to enter the room. Without a hook the fields are empty."""

    user_token: str | None = None
    url: str | None = None
    agent_dispatched: bool = False


class DispatchFailed(Exception):
    """The hook raised an error, did not answer in time, or returned something else. The text is for the log."""


class Dispatch:
    """Calls the function that `chatstore.server.dispatch` names, as `module:function`.

    The function gets a DispatchRequest and returns a dictionary with `userToken`, `livekitUrl` and, if it is not true,
    `agentDispatched`. It may be a coroutine function; a plain one runs in a thread. If it raises an error or
    takes more than `seconds`, no agent was sent. A plain function then keeps its thread until it returns, so its own
    requests need time limits.
    """

    def __init__(self, function: Callable[[DispatchRequest], Any] | None, seconds: float) -> None:
        self._function, self._seconds = function, seconds
        self._calls = Calls(_THREADS)

    @classmethod
    def named(cls, name: str | None, seconds: float) -> Dispatch:
        """The hook of this name; None is no hook. Raises BadConfig if it cannot be imported."""
        if name is None:
            return cls(None, seconds)
        return cls(named_function(name, setting="chatstore.server.dispatch"), seconds)

    async def send(self, request: DispatchRequest) -> Dispatched:
        """Call the hook. Raises DispatchFailed, without any text of the hook: it may have secrets."""
        if self._function is None:
            return Dispatched()
        # A task of its own: whatever the hook raises, also the end of the process or of the task, ends only that.
        asked = asyncio.ensure_future(_outcome(self._ask(self._function, request)))
        try:
            done, _ = await asyncio.wait((asked,), timeout=self._seconds)
        finally:
            asked.cancel()  # does nothing to a task that is done
        if not done:
            raise DispatchFailed(f"it did not answer within {self._seconds:g} seconds")
        answer = asked.result()
        if isinstance(answer, BaseException):
            raise DispatchFailed(f"it raised {type(answer).__name__}") from None
        return _checked(answer)

    async def _ask(self, function: Callable[[DispatchRequest], Any], request: DispatchRequest) -> Any:
        if inspect.iscoroutinefunction(function):
            return await function(request)
        answer = await self._calls.call(function, request)
        return await answer if inspect.isawaitable(answer) else answer


async def _outcome(asking: Coroutine[Any, Any, Any]) -> Any:
    """What the hook returned, or what it raised. An event loop would end for SystemExit in one of its tasks."""
    try:
        return await asking
    except BaseException as error:  # noqa: BLE001 - reported by the caller
        return error


def _checked(answer: Any) -> Dispatched:
    if not isinstance(answer, Mapping):
        raise DispatchFailed(f"it returned {type(answer).__name__}, and a dictionary is expected")
    try:
        token, url = (_text(answer.get(name)) for name in ("userToken", "livekitUrl"))
        is_sent = answer.get("agentDispatched", True)
    except Exception as error:  # noqa: BLE001 - a dictionary of its own kind can raise anything
        raise DispatchFailed(f"its answer has a wrong userToken or livekitUrl ({type(error).__name__})") from None
    if not isinstance(is_sent, bool):
        raise DispatchFailed("agentDispatched in its answer is neither true nor false")
    return Dispatched(token, url, is_sent)


def _text(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError("a text is expected")
    return value.encode().decode()  # raises for a lone surrogate, which cannot be sent
