"""The awaitable faces of the repositories of threads."""

from __future__ import annotations

import inspect
from typing import Any

from chatstore_cli.aio.face import AT_A_TIME, Face, arguments_of, awaitable, streamed
from chatstore_cli.core.threads import memory
from chatstore_cli.domain.errors import BadValue
from chatstore_cli.domain.threads import ports

_Port = ports.ConversationRepository


class ConversationRepository(Face[ports.ConversationRepository]):
    """Stores threads and their messages. Every method is that of `chatstore_cli.threads`, and is awaitable.

    Up to 16 calls are made at a time, in no order: await a message before you add the next one, or use `create_messages`.
    A StateManager makes its own calls in order.
    """

    _calls_at_a_time = AT_A_TIME

    def __init__(self, repository: ports.ConversationRepository) -> None:
        """A face of a synchronous repository, for example one of your own. Raises BadValue for an asynchronous one."""
        if inspect.iscoroutinefunction(getattr(repository, "get_thread", None)):
            raise BadValue(
                name="repository",
                value=f"<{type(repository).__name__}>",
                expected="a synchronous repository",
                hint="Implement chatstore_cli.threads.ConversationRepository without async. aio makes it awaitable.",
            )
        self._open(repository)

    create_thread = awaitable(_Port.create_thread)
    get_thread = awaitable(_Port.get_thread)
    update_thread = awaitable(_Port.update_thread)  # type: ignore[arg-type]  # a keyword could be named `self`
    delete_thread = awaitable(_Port.delete_thread)
    list_threads = awaitable(_Port.list_threads)
    create_message = awaitable(_Port.create_message)
    create_messages = awaitable(_Port.create_messages)
    get_messages = awaitable(_Port.get_messages)
    iter_messages = streamed(_Port.iter_messages)
    get_message = awaitable(_Port.get_message)
    edit_message = awaitable(_Port.edit_message)
    delete_message = awaitable(_Port.delete_message)
    clear_messages = awaitable(_Port.clear_messages)
    newest_summary = awaitable(_Port.newest_summary)
    fork_thread = awaitable(_Port.fork_thread)
    import_thread = awaitable(_Port.import_thread)


class MockConversationRepository(ConversationRepository):
    """A repository in plain memory, which needs no database."""

    synchronous: memory.MockConversationRepository

    @arguments_of(memory.MockConversationRepository)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(memory.MockConversationRepository(*args, **kwargs))

    def get_stats(self) -> dict[str, int]:
        """How many threads and messages are stored. `total_thread_messages` equals `messages`."""
        return self.synchronous.get_stats()


def face_of(repository: ConversationRepository | ports.ConversationRepository | None) -> ConversationRepository:
    """The repository's face; of none, a new repository in memory."""
    if repository is None:
        return MockConversationRepository()
    return repository if isinstance(repository, ConversationRepository) else ConversationRepository(repository)
