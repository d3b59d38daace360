"""StateManager: the threads of one user and one tenant, as an application works with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from threading import Lock
from typing import Any

from chatstore_cli.core.threads.agent_state import AgentState, initial_state
from chatstore_cli.core.threads.binding import LEFT_OUT, Binding, Bound
from chatstore_cli.core.threads.memory import MockConversationRepository
from chatstore_cli.core.threads.prompt_messages import prompt_messages
from chatstore_cli.core.threads.requests import content_of, message_request, parameters_of
from chatstore_cli.core.threads.summaries import SUMMARY_ROLE, SummaryRange
from chatstore_cli.core.threads.summarize import Summarizer, Unsummarized, checked_summary, since_summary, unsummarized
from chatstore_cli.core.threads.transfer import ThreadExport, read_thread, with_new_ids
from chatstore_cli.domain.errors import MessageNotFound, NoActiveThread, ThreadNotFound
from chatstore_cli.domain.threads.models import (
    ChatMessage,
    ChatThread,
    CreateChatThreadRequest,
    Message,
)
from chatstore_cli.domain.threads.ports import ConversationRepository


class StateManager:
    """Creates threads, adds messages and reads them. Most methods use the current thread if they receive no `thread_id`.

    A manager is bound to the user or tenant (`org_id`) that its constructor receives. Every method treats a thread of
    another owner like a thread that does not exist. A manager that receives neither is unbound: it creates threads for
    `default_user` in `default_org`, and can open every thread.

    Methods are safe for several operating system threads, which share the current thread. A method that needs a current
    thread raises NoActiveThread without one. All methods raise InvalidThreadData for values that cannot be stored, and
    Unreachable. NoActiveThread and InvalidThreadData are ValueErrors.

    Differences from fluxibly: threads of other users are hidden. A `thread_id` of `""` does not mean the
    current thread, and `list_threads(user_id="")` does not mean all users. `add_message` rejects roles other than user,
    assistant, system and tool unless the repository was created with `strict_roles=False`. Returned objects are copies.
    """

    def __init__(
        self,
        repository: ConversationRepository | None = None,
        user_id: Bound = LEFT_OUT,
        org_id: Bound = LEFT_OUT,
    ) -> None:
        """Without a repository, threads are kept in memory. None or `""` as an id raises InvalidThreadData."""
        self._repository = MockConversationRepository() if repository is None else repository
        self._binding = Binding(user_id, org_id)
        self._owner = self._binding.owner
        self._lock = Lock()
        self._current: str | None = None

    @property
    def repository(self) -> ConversationRepository:
        """Where threads and messages are stored. It has no binding."""
        return self._repository

    @property
    def user_id(self) -> str:
        """The user of new threads."""
        return self._binding.user_id

    @property
    def org_id(self) -> str:
        """The tenant of new threads."""
        return self._binding.org_id

    @property
    def current_thread_id(self) -> str | None:
        """The id of the current thread, which may have been deleted meanwhile."""
        return self._current

    # --- threads

    def create_thread(self, name: str, user_id: str | None = None, org_id: str | None = None) -> ChatThread:
        """Create a thread and make it the current one.

        Without a user or tenant it has the manager's. Raises InvalidThreadData for one outside the binding.
        """
        user, org = user_id or self.user_id, org_id or self.org_id
        self._binding.require(user, org, "No thread was created.")
        request = CreateChatThreadRequest.model_construct(user_id=user, org_id=org, name=name)
        thread = self._repository.create_thread(request)
        with self._lock:
            self._current = thread.id
        return thread

    def get_thread(self, thread_id: str, *, with_messages: bool = True) -> ChatThread | None:
        """The thread, or None if it does not exist. `with_messages=False` leaves out its messages."""
        return self._repository.get_thread(thread_id, owner=self._owner, with_messages=with_messages)

    def set_current_thread(self, thread_id: str) -> None:
        """Make a thread the current one. Raises ThreadNotFound (`Thread X not found`)."""
        if self.get_thread(thread_id, with_messages=False) is None:
            raise ThreadNotFound(thread_id=thread_id, how="not found")
        with self._lock:
            self._current = thread_id

    def get_current_thread(self) -> ChatThread | None:
        """The current thread without its messages. None if no thread is current, or if the thread was deleted meanwhile."""
        current = self._current
        return None if current is None else self.get_thread(current, with_messages=False)

    def list_threads(self, user_id: str | None = None, org_id: str | None = None, limit: int = 100) -> list[ChatThread]:
        """Threads within the binding, without messages, the newest `updated_at` first."""
        owner = self._binding.narrowed(user_id, org_id)
        return [] if owner is None else self._repository.list_threads(owner.user_id, owner.org_id, limit)

    def rename_thread(self, name: str, thread_id: str | None = None) -> ChatThread | None:
        """Change the name of a thread. Returns the thread without messages; None if it does not exist."""
        return self.update_thread(thread_id, name=name)

    def update_thread(self, thread_id: str | None = None, **changes: Any) -> ChatThread | None:
        """Change `name`, `user_id` or `org_id`. Returns the thread without messages; None if it does not exist.

        Raises InvalidThreadData if the change would move the thread out of the binding.
        """
        target = self._target(thread_id)
        wanted = {"user_id": self._owner.user_id, "org_id": self._owner.org_id, **changes}
        self._binding.require(wanted["user_id"], wanted["org_id"], "The thread was not changed.")
        return self._repository.update_thread(target, owner=self._owner, **changes)

    def delete_thread(self, thread_id: str | None = None) -> bool:
        """Delete a thread and its messages. Returns whether it existed. Afterwards it is not the current thread."""
        target = self._target(thread_id)
        deleted = self._repository.delete_thread(target, owner=self._owner)
        with self._lock:
            if deleted and self._current == target:
                self._current = None
        return deleted

    def clear_thread(self, thread_id: str | None = None) -> int:
        """Delete the messages of a thread and return how many; 0 if it does not exist. `updated_at` does not change."""
        return self._repository.clear_messages(self._target(thread_id), owner=self._owner)

    def fork_thread(
        self, message_id: str | None = None, thread_id: str | None = None, name: str | None = None
    ) -> ChatThread:
        """Copy a thread up to and including a message, or all of it, to a new thread. The current thread does not change.

        The copied messages have new ids. `forked_from` names the original thread. If the original is deleted, the fork
        remains. Raises ThreadNotFound, and MessageNotFound if the message is not in the thread.
        """
        target = self._target(thread_id)
        sequence = None
        if message_id is not None and self.get_thread(target, with_messages=False) is not None:
            message = self._repository.get_message(message_id, owner=self._owner)
            if message is None or message.chat_thread_id != target:
                raise MessageNotFound(message_id=message_id, thread_id=target)
            sequence = message.sequence
        return self._repository.fork_thread(target, at_sequence=sequence, name=name, owner=self._owner)

    # --- messages

    def add_message(
        self,
        role: str,
        content: str | Mapping[str, Any],
        thread_id: str | None = None,
        sender_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        message_id: str | None = None,
    ) -> ChatMessage:
        """Store a message at the end of a thread. It is stored when the call returns. Raises ThreadNotFound.

        A text becomes `{"type": "text", "text": ...}`. Metadata, unless empty, takes the place of `content["metadata"]`.
        With a `message_id` (1 to 200 characters) a repeated call stores nothing and returns the stored message; a call
        with other content raises Conflict.
        """
        request = message_request(self._target(thread_id), role, content, sender_id, metadata, message_id)
        return self._repository.create_message(request, owner=self._owner)

    def add_messages(self, messages: Sequence[Mapping[str, Any]], thread_id: str | None = None) -> list[ChatMessage]:
        """Store messages in their order: at most 1,000, and 12 MiB. Each has the parameters of `add_message` as keys.

        If the database has transactions, all or none are stored. Otherwise only the first ones may be stored, and a
        repetition with the same message ids stores the rest. Raises ThreadNotFound.
        """
        target = self._target(thread_id)
        requests = [
            message_request(target, **parameters_of(message, number)) for number, message in enumerate(messages)
        ]
        return self._repository.create_messages(requests, owner=self._owner)

    def get_messages(
        self, thread_id: str | None = None, limit: int | None = None, offset: int = 0, *, newest: bool = False
    ) -> list[ChatMessage]:
        """The oldest `limit` messages after `offset`, or with `newest` the newest, in ascending order.

        Empty if the thread does not exist. A negative limit leaves out that many messages at the other end.
        """
        return self._repository.get_messages(self._target(thread_id), limit, offset, newest=newest, owner=self._owner)

    def iter_messages(
        self, thread_id: str | None = None, *, after_sequence: int | None = None
    ) -> Iterator[ChatMessage]:
        """The messages in ascending order, streamed. Empty if the thread does not exist."""
        return self._repository.iter_messages(self._target(thread_id), after_sequence=after_sequence, owner=self._owner)

    def get_message(self, message_id: str) -> ChatMessage | None:
        """One message of any thread; None if it does not exist."""
        return self._repository.get_message(message_id, owner=self._owner)

    def edit_message(
        self, message_id: str, content: str | Mapping[str, Any], metadata: Mapping[str, Any] | None = None
    ) -> ChatMessage | None:
        """Replace the whole content of a message, and keep the former one in `edits` (the newest 20).

        Content and metadata are as in `add_message`. An edit to the present content changes nothing. None if the message
        does not exist.
        """
        return self._repository.edit_message(message_id, content_of(content, metadata), owner=self._owner)

    def delete_message(self, message_id: str) -> bool:
        """Delete one message. Returns whether it existed."""
        return self._repository.delete_message(message_id, owner=self._owner)

    # --- histories and summaries

    def convert_to_conversation_messages(self, chat_messages: Sequence[ChatMessage]) -> list[Message]:
        """The role, text and metadata of each message, for a prompt.

        Differences from fluxibly: if `text` is not a text, it raises nothing. The text of a content of parts
        has one line per text part. A picture, sound or file becomes its type and size in brackets, and is not left out.
        Metadata that is not an object counts as empty.
        """
        return prompt_messages(chat_messages)

    def load_conversation_history(self, thread_id: str | None = None, *, summary: bool = False) -> list[Message]:
        """All messages of a thread for a prompt. Empty if the thread does not exist.

        With `summary`, only the newest summary and the messages after its range, without other summaries.
        """
        target = self._target(thread_id)
        if not summary:
            return prompt_messages(self.iter_messages(target))
        start, messages = since_summary(self._repository, target, self._owner)
        return prompt_messages(messages if start is None else [start, *messages])

    def summarize(
        self, summarizer: Summarizer, keep_last: int = 10, thread_id: str | None = None
    ) -> ChatMessage | None:
        """Store a summary of all but the last `keep_last` messages, and return it. Nothing is deleted.

        `summarizer` receives the messages and returns the text. The messages are the newest summary, if there is one, and
        those after its range. None if no further message needs a summary. Raises ThreadNotFound.

        The summary is a system message. Its `content.metadata.summary` has `from_sequence` and `to_sequence`, which name
        the first and the last message that it covers.
        """
        target = self._target(thread_id)
        part = self.messages_to_summarize(keep_last, target)
        return None if part is None else self.add_summary(summarizer(part.messages), part.covered, target)

    def messages_to_summarize(self, keep_last: int = 10, thread_id: str | None = None) -> Unsummarized | None:
        """The first half of `summarize`: the messages for the summarizer, and the range that the summary will cover."""
        target = self._target(thread_id)
        if self.get_thread(target, with_messages=False) is None:
            raise ThreadNotFound(thread_id=target)
        return unsummarized(self._repository, target, self._owner, keep_last)

    def add_summary(self, text: str, covered: SummaryRange, thread_id: str | None = None) -> ChatMessage:
        """The second half of `summarize`: store the text as the summary of a range. Raises ThreadNotFound."""
        return self.add_message(SUMMARY_ROLE, checked_summary(text, covered), thread_id)

    # --- export and import

    def export_thread(self, thread_id: str | None = None) -> str:
        """A thread with its messages as JSON, which `import_thread` reads without loss. Raises ThreadNotFound."""
        export = ThreadExport(self._repository, self._target(thread_id), self._owner)
        return b"".join(export.pieces()).decode()

    def import_thread(self, source: str | bytes | Mapping[str, Any], *, new_ids: bool = False) -> ChatThread:
        """Store an exported thread with its ids and times, or with `new_ids` a copy of it. The current thread does not change.

        `source` is what `export_thread` returns, or `thread.model_dump_json()` of fluxibly, whose times
        have no zone and are in UTC. Raises Conflict if the thread or one of its messages exists, and InvalidThreadData if
        the thread is outside the binding. Returns the thread without messages.
        """
        thread, messages = read_thread(source)
        self._binding.require(thread.user_id, thread.org_id, "No thread was imported.")
        if new_ids:
            thread, messages = with_new_ids(thread, messages)
        return self._repository.import_thread(thread, messages)

    # --- the state of an agent

    def create_initial_state(self, input_data: dict[str, Any]) -> AgentState:
        """A new state whose `context` is `input_data`."""
        return initial_state(input_data)

    def update_state(self, state: AgentState, updates: Mapping[str, Any]) -> AgentState:
        """Set keys of a state, and return it.

        In fluxibly this has no effect, because it looks for attributes on a dict.
        """
        state.update(updates)  # type: ignore[typeddict-item]  # the keys are the caller's
        return state

    def get_context(self, state: AgentState, key: str) -> Any:
        """A value of the state's `context`; None for an unknown key."""
        return state.get("context", {}).get(key)

    def _target(self, thread_id: str | None) -> str:
        target = self._current if thread_id is None else thread_id
        if target is None:
            raise NoActiveThread()
        return target
