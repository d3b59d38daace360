"""How a synchronous class becomes awaitable: a face holds the synchronous object and makes its calls in other threads."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from inspect import BoundArguments
from itertools import islice
from typing import Any, Concatenate, Generic, NamedTuple, NoReturn, ParamSpec, Protocol, Self, TypeVar, cast, overload
from weakref import WeakValueDictionary

from chatstore_cli.aio.calls import Calls, Threads, answer
from chatstore_cli.domain.errors import ChatstoreError

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
Function = TypeVar("Function", bound=Callable[..., Any])
Synchronous = TypeVar("Synchronous")
Closing = TypeVar("Closing", bound="Closable")

AT_A_TIME = 16
"""Calls that an object makes at a time, if their order does not matter."""
_PART = 25
"""Messages that one call fetches from a stream."""


def coroutine_function(function: Function) -> Function:
    """Mark a function that returns a coroutine. Frameworks ask whether a callback is a coroutine function."""
    if sys.version_info >= (3, 12):
        return inspect.markcoroutinefunction(function)
    function._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]  # how asyncio marks its own
    return function


class Closable(Protocol):
    """A synchronous object that holds connections or files."""

    def close(self) -> None:
        """Release them."""


class Face(Generic[Synchronous]):
    """The awaitable face of `synchronous`, which has the same methods without `await`. Both may be used side by side."""

    _calls_at_a_time = 1
    """Calls that are made at a time. With one, they are made in their order."""

    synchronous: Synchronous

    def _open(self, synchronous: Synchronous, threads: Threads | None = None) -> None:
        self.synchronous = synchronous
        self._calls = Calls(self._calls_at_a_time, threads)

    @classmethod
    def _of(cls, synchronous: Synchronous) -> Self:
        face = cls.__new__(cls)
        face._open(synchronous)
        return face

    def _calls_for(self, bound: BoundArguments) -> Calls:
        """The Calls that make a call with these arguments. A face may change the arguments. Its errors are raised by the await."""
        return self._calls


class ClosingFace(Face[Closing]):
    """A face that is also a context manager: `async with face: ...` closes it at the end."""

    @coroutine_function
    def close(self) -> Coroutine[Any, Any, None]:
        """Close the connections or files."""
        return self._calls.call(self.synchronous.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class OrderedFace(ClosingFace[Closing]):
    """A face that makes the calls for one session one at a time, in their order. Sessions do not wait for each other."""

    _calls_at_a_time = AT_A_TIME
    _session_argument = "session_id"

    def _open(self, synchronous: Closing, threads: Threads | None = None) -> None:
        super()._open(synchronous, threads)
        self._calls_of_sessions: WeakValueDictionary[str, Calls] = WeakValueDictionary()

    def _calls_for(self, bound: BoundArguments) -> Calls:
        return self._calls_of(bound.arguments.get(self._session_argument))

    def _calls_of(self, session: object) -> Calls:
        if not isinstance(session, str):
            return self._calls
        calls = self._calls_of_sessions.get(session)
        if calls is None:
            calls = self._calls_of_sessions.setdefault(session, Calls())
        return calls


class AwaitableMethod(Protocol[P, R_co]):
    """A method with the parameters of a synchronous one, that returns a coroutine."""

    @overload
    def __get__(self, face: None, owner: type) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, R_co]]: ...
    @overload
    def __get__(self, face: object, owner: type) -> Callable[P, Coroutine[Any, Any, R_co]]: ...


class PlainMethod(Protocol[P, R_co]):
    """A method with the parameters and the result of a synchronous one."""

    @overload
    def __get__(self, face: None, owner: type) -> Callable[Concatenate[Any, P], R_co]: ...
    @overload
    def __get__(self, face: object, owner: type) -> Callable[P, R_co]: ...


class ContextMethod(Protocol[P, R_co]):
    """A method with the parameters of a synchronous one, that returns an asynchronous context manager."""

    @overload
    def __get__(self, face: None, owner: type) -> Callable[Concatenate[Any, P], AbstractAsyncContextManager[R_co]]: ...
    @overload
    def __get__(self, face: object, owner: type) -> Callable[P, AbstractAsyncContextManager[R_co]]: ...


class StreamMethod(Protocol[P, R_co]):
    """A method with the parameters of a synchronous one, that returns an asynchronous iterator."""

    @overload
    def __get__(self, face: None, owner: type) -> Callable[Concatenate[Any, P], AsyncIterator[R_co]]: ...
    @overload
    def __get__(self, face: object, owner: type) -> Callable[P, AsyncIterator[R_co]]: ...


def awaitable(
    method: Callable[Concatenate[Any, P], R], *, then: Callable[[Any, BoundArguments, R], None] | None = None
) -> AwaitableMethod[P, R]:
    """The method, made awaitable. The call is made when the method is called, not when it is awaited.

    The await calls `then` with the face, the arguments and the result, unless it is cancelled.
    """
    prepare = _prepared(method)

    @coroutine_function
    @functools.wraps(method)
    def make_call(face: Face[Any], *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        calls, call, bound = prepare(face, *args, **kwargs)
        return answer(calls.submit(call), functools.partial(then, face, bound) if then else None)

    return cast("AwaitableMethod[P, R]", make_call)  # a function is bound when it is read from an object


def submitted(method: Callable[Concatenate[Any, P], R]) -> PlainMethod[P, Future[R]]:
    """The method, which makes its call and returns the future of the result."""
    prepare = _prepared(method)

    @functools.wraps(method)
    def submit(face: Face[Any], *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        calls, call, _ = prepare(face, *args, **kwargs)
        return calls.submit(call)

    return cast("PlainMethod[P, Future[R]]", submit)


def blocking(method: Callable[Concatenate[Any, P], R]) -> PlainMethod[P, R]:
    """The method without `await`: the event loop stops until the call, and the calls before it, are done."""
    prepare = _prepared(method)

    @functools.wraps(method)
    def wait_for_call(face: Face[Any], *args: P.args, **kwargs: P.kwargs) -> R:
        calls, call, _ = prepare(face, *args, **kwargs)
        return calls.submit(call).result()

    return cast("PlainMethod[P, R]", wait_for_call)


def in_context(method: Callable[Concatenate[Any, P], AbstractContextManager[R]]) -> ContextMethod[P, R]:
    """The method, whose context manager is entered and left in other threads."""
    prepare = _prepared(method)

    @functools.wraps(method)
    def enter(face: Face[Any], *args: P.args, **kwargs: P.kwargs) -> AbstractAsyncContextManager[R]:
        return _entered(*prepare(face, *args, **kwargs)[:2])

    return cast("ContextMethod[P, R]", enter)


def streamed(method: Callable[Concatenate[Any, P], Iterator[R]]) -> StreamMethod[P, R]:
    """The method, whose iterator advances in other threads, several items at a time."""
    prepare = _prepared(method)

    @functools.wraps(method)
    def stream(face: Face[Any], *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[R]:
        return _items(*prepare(face, *args, **kwargs)[:2])

    return cast("StreamMethod[P, R]", stream)


def arguments_of(cls: Callable[P, Any]) -> Callable[[Callable[..., None]], Callable[Concatenate[Any, P], None]]:
    """Give a constructor the parameters and the description of another class."""

    def give(constructor: Callable[..., None]) -> Callable[Concatenate[Any, P], None]:
        return functools.wraps(cast("type[Any]", cls).__init__)(constructor)

    return give


def synchronous_of(face: Any) -> Any:
    """The synchronous object of a face. Other values are returned as they are."""
    return face.synchronous if isinstance(face, Face) else face


class _Prepared(NamedTuple, Generic[R]):
    """A call of a face: the Calls that make it, the call of the synchronous object, and its arguments."""

    calls: Calls
    call: Callable[[], R]
    bound: BoundArguments


def _prepared(method: Callable[..., R]) -> Callable[..., _Prepared[R]]:
    """A function that turns a call of a face into a call of its synchronous object."""
    signature, name = inspect.signature(method), method.__name__

    def prepare(face: Face[Any], *args: Any, **kwargs: Any) -> _Prepared[R]:
        bound = signature.bind(face, *args, **kwargs)
        try:
            calls = face._calls_for(bound)
        except ChatstoreError as error:
            return _Prepared(face._calls, functools.partial(_fail, error), bound)  # raised where the call is awaited
        call = functools.partial(getattr(face.synchronous, name), *bound.args[1:], **bound.kwargs)
        return _Prepared(calls, call, bound)

    return prepare


def _fail(error: ChatstoreError) -> NoReturn:
    raise error


@asynccontextmanager
async def _entered(calls: Calls, make: Callable[[], AbstractContextManager[R]]) -> AsyncIterator[R]:
    entered = make()
    try:
        yield await calls.call(entered.__enter__)
    except BaseException as error:
        # Entering may have been cancelled after it began. A context manager of a generator can be left in any case.
        if not await calls.call(entered.__exit__, type(error), error, error.__traceback__):
            raise
    else:
        await calls.call(entered.__exit__, None, None, None)


async def _items(calls: Calls, make: Callable[[], Iterator[R]]) -> AsyncIterator[R]:
    items = await calls.call(make)
    try:
        while part := await calls.call(list, islice(items, _PART)):
            for item in part:
                yield item
    finally:
        if hasattr(items, "close"):
            await calls.call(items.close)
