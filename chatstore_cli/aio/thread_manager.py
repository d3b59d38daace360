"""The awaitable face of StateManager."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from inspect import BoundArguments, isawaitable
from typing import Any

from chatstore_cli.aio.calls import Calls, answer
from chatstore_cli.aio.face import Face, awaitable, coroutine_function, streamed, submitted
from chatstore_cli.aio.thread_repositories import ConversationRepository, face_of
from chatstore_cli.core.threads import manager
from chatstore_cli.core.threads.agent_state import AgentState
from chatstore_cli.core.threads.binding import LEFT_OUT, Bound
from chatstore_cli.core.threads.summarize import Unsummarized
from chatstore_cli.domain.errors import NoActiveThread
from chatstore_cli.domain.threads import ports
from chatstore_cli.domain.threads.models import ChatMessage, ChatThread, Message

_Manager = manager.StateManager


class StateManager(Face[manager.StateManager]):
    """`chatstore_cli.threads.StateManager` for an event loop: every method that uses the repository is awaitable.

    A call is made when the method is called, not when it is awaited. The calls of one manager are made one at a time, in
    their order. A call without a `thread_id` uses the thread that is current when the method is called: after
    `task = create_task(manager.add_message(...))` and `await manager.set_current_thread(other)`, the message is in the
    first thread. Without a current thread, the call raises NoActiveThread. `create_thread`, `set_current_thread` and
    `delete_thread` change the current thread when their await returns.

    If an await is cancelled (by `asyncio.timeout`, for example), the message may still have been stored. To be able to
    repeat the call, pass a `message_id`. The current thread does not change. Errors are those of the synchronous methods.
    """

    def __init__(
        self,
        repository: ConversationRepository | ports.ConversationRepository | None = None,
        user_id: Bound = LEFT_OUT,
        org_id: Bound = LEFT_OUT,
    ) -> None:
        """The parameters are those of the synchronous manager. A synchronous repository is accepted too."""
        self.repository = face_of(repository)
        """Where threads and messages are stored. It has no binding."""
        self._current: str | None = None
        self._open(_Manager(self.repository.synchronous, user_id, org_id), self.repository._manager_threads)

    create_thread = awaitable(_Manager.create_thread, then=lambda self, _, thread: self._switch(thread.id))
    get_thread = awaitable(_Manager.get_thread)
    set_current_thread = awaitable(
        _Manager.set_current_thread, then=lambda self, bound, _: self._switch(bound.arguments["thread_id"])
    )
    list_threads = awaitable(_Manager.list_threads)
    rename_thread = awaitable(_Manager.rename_thread)
    update_thread = awaitable(_Manager.update_thread)  # type: ignore[arg-type]  # a keyword could be named `self`
    delete_thread = awaitable(
        _Manager.delete_thread, then=lambda self, bound, deleted: self._leave(bound.arguments["thread_id"], deleted)
    )
    clear_thread = awaitable(_Manager.clear_thread)
    fork_thread = awaitable(_Manager.fork_thread)
    add_message = awaitable(_Manager.add_message)
    add_messages = awaitable(_Manager.add_messages)
    get_messages = awaitable(_Manager.get_messages)
    iter_messages = streamed(_Manager.iter_messages)
    get_message = awaitable(_Manager.get_message)
    edit_message = awaitable(_Manager.edit_message)
    delete_message = awaitable(_Manager.delete_message)
    load_conversation_history = awaitable(_Manager.load_conversation_history)
    messages_to_summarize = awaitable(_Manager.messages_to_summarize)
    add_summary = awaitable(_Manager.add_summary)
    export_thread = awaitable(_Manager.export_thread)
    import_thread = awaitable(_Manager.import_thread)

    @coroutine_function
    def get_current_thread(self) -> Coroutine[Any, Any, ChatThread | None]:
        """The current thread without its messages. None if no thread is the current one, or if it was deleted meanwhile."""
        return self._calls.call(_thread, self.synchronous, self.current_thread_id)

    @coroutine_function
    def summarize(
        self,
        summarizer: Callable[[list[Message]], str | Awaitable[str]],
        keep_last: int = 10,
        thread_id: str | None = None,
    ) -> Coroutine[Any, Any, ChatMessage | None]:
        """Store a summary of all but the last `keep_last` messages, and return it. Nothing is deleted.

        `summarizer` is a function or an `async` function. It gets the messages and returns the text. Other calls of the
        manager are made while it works. A plain function runs in another thread. All else is as in the synchronous method.
        """
        target = self.current_thread_id if thread_id is None else thread_id
        return self._summarize(summarizer, self._submit_reading(keep_last, thread_id), target)

    _submit_reading = submitted(_Manager.messages_to_summarize)

    async def _summarize(
        self,
        summarizer: Callable[[list[Message]], str | Awaitable[str]],
        reading: Future[Unsummarized | None],
        thread_id: str | None,
    ) -> ChatMessage | None:
        part = await answer(reading)
        if part is None:
            return None
        text = await Calls().call(summarizer, part.messages)
        return await self.add_summary(await text if isawaitable(text) else text, part.covered, thread_id)

    # Methods that use only memory have no `await`, as in fluxibly.

    def convert_to_conversation_messages(self, chat_messages: Sequence[ChatMessage]) -> list[Message]:
        """The role, text and metadata of each message, for a prompt."""
        return self.synchronous.convert_to_conversation_messages(chat_messages)

    def create_initial_state(self, input_data: dict[str, Any]) -> AgentState:
        """A new state whose `context` is `input_data`."""
        return self.synchronous.create_initial_state(input_data)

    def update_state(self, state: AgentState, updates: Mapping[str, Any]) -> AgentState:
        """Set keys of a state, and return it."""
        return self.synchronous.update_state(state, updates)

    def get_context(self, state: AgentState, key: str) -> Any:
        """A value of the state's `context`; None for an unknown key."""
        return self.synchronous.get_context(state, key)

    @property
    def user_id(self) -> str:
        """The user of new threads."""
        return self.synchronous.user_id

    @property
    def org_id(self) -> str:
        """The tenant of new threads."""
        return self.synchronous.org_id

    @property
    def current_thread_id(self) -> str | None:
        """The id of the current thread, which may have been deleted meanwhile."""
        return self._current

    def _switch(self, thread_id: str) -> None:
        self._current = thread_id

    def _leave(self, thread_id: str, deleted: bool) -> None:
        if deleted and self._current == thread_id:
            self._current = None

    def _calls_for(self, bound: BoundArguments) -> Calls:
        name_current_thread(bound, self.current_thread_id)
        return self._calls


def name_current_thread(bound: BoundArguments, current: str | None) -> None:
    """Set the argument `thread_id` of a call without one to the id of the current thread. Raises NoActiveThread."""
    parameter = bound.signature.parameters.get("thread_id")
    if parameter is None or parameter.default is not None or bound.arguments.get("thread_id") is not None:
        return
    if current is None:
        raise NoActiveThread()
    bound.arguments["thread_id"] = current


def _thread(synchronous: manager.StateManager, thread_id: str | None) -> ChatThread | None:
    return None if thread_id is None else synchronous.get_thread(thread_id, with_messages=False)
