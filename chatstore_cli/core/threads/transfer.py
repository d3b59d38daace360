"""Writes a thread as JSON, and reads such a file or one of the library fluxibly.

An export is one object with the fields of ChatThread. `chat_messages` is its last member and has a message on each line, so
that writing and reading need little memory. The JSON of a thread in fluxibly is such an object too. Its messages have no
sequence, and its times have no zone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from chatstore_cli.core.threads.imports import imported_thread
from chatstore_cli.core.threads.thread_file import MESSAGES, ThreadFile, check_messages, checked_thread, parsed
from chatstore_cli.domain.errors import Conflict, InvalidThreadData, ThreadNotFound
from chatstore_cli.domain.journal import Progress
from chatstore_cli.domain.json_types import type_in_words
from chatstore_cli.domain.threads.models import ChatMessage, ChatThread, new_id
from chatstore_cli.domain.threads.ports import ANYONE, ConversationRepository, Owner

_MESSAGES_PER_PROGRESS = 1_000


def exported(thread: ChatThread, messages: Iterable[ChatMessage]) -> Iterator[str]:
    """A thread as JSON, in pieces."""
    yield f'{thread.model_dump_json(exclude={MESSAGES}, exclude_none=True)[:-1]},"{MESSAGES}":['
    separator = "\n"
    for message in messages:
        yield separator + message.model_dump_json(exclude=None if message.edits else {"edits"})
        separator = ",\n"
    yield "\n]}\n" if separator != "\n" else "]}\n"


def read_thread(source: str | bytes | Mapping[str, Any]) -> tuple[ChatThread, Iterable[ChatMessage]]:
    """The thread without messages, and the messages, of an export in memory. Raises InvalidThreadData."""
    if isinstance(source, Mapping):
        return _checked_objects(source)
    if not isinstance(source, str | bytes):
        raise InvalidThreadData(what=f"The export: text, bytes or an object is expected, not {type_in_words(source)}.")
    try:
        file = ThreadFile(BytesIO(source.encode() if isinstance(source, str) else source), "The export")
    except UnicodeEncodeError as error:
        raise InvalidThreadData(what=f"The export has a lone surrogate at position {error.start}.") from error
    return file.checked()[0], file.messages()


def _checked_objects(source: Mapping[str, Any]) -> tuple[ChatThread, list[ChatMessage]]:
    """The thread and its messages. Every value is checked, so that an error is noticed before anything is stored."""
    values = source.get(MESSAGES) or ()
    if not isinstance(values, list | tuple):
        raise InvalidThreadData(what=f"{MESSAGES}: a list is expected, not {type_in_words(values)}.")
    ids: set[str] = set()
    thread_ids: set[str] = set()
    try:
        check_messages(values, ids, thread_ids)
    except InvalidThreadData as error:
        raise InvalidThreadData(what=f"Message {len(ids) + 1:,}: {error.message}", hint=error.hint) from error
    thread = checked_thread({name: value for name, value in source.items() if name != MESSAGES}, thread_ids)
    return thread, [parsed(ChatMessage, each) for each in values]


def with_new_ids(thread: ChatThread, messages: Iterable[ChatMessage]) -> tuple[ChatThread, Iterator[ChatMessage]]:
    """The thread and its messages under new ids, for a copy beside the original."""
    return thread.model_copy(update={"id": new_id()}), _messages_with_new_ids(messages)


def _messages_with_new_ids(messages: Iterable[ChatMessage]) -> Iterator[ChatMessage]:
    return (message.model_copy(update={"id": new_id()}) for message in messages)


class ThreadExport:
    """Writes one thread to a file. `messages` is the number of messages that were written so far."""

    def __init__(self, repository: ConversationRepository, thread_id: str, owner: Owner = ANYONE) -> None:
        """Raises ThreadNotFound."""
        self._repository, self._owner = repository, owner
        self.thread = self._find(thread_id)
        self.messages = 0

    def pieces(self) -> Iterator[bytes]:
        """The file, in pieces. Raises ThreadNotFound at the end if the thread was deleted meanwhile."""
        messages = self._repository.iter_messages(self.thread.id, owner=self._owner)
        for piece in exported(self.thread, self._counted(messages)):
            yield piece.encode()
        self._find(self.thread.id)

    def _counted(self, messages: Iterable[ChatMessage]) -> Iterator[ChatMessage]:
        for message in messages:
            self.messages += 1
            yield message

    def _find(self, thread_id: str) -> ChatThread:
        thread = self._repository.get_thread(thread_id, owner=self._owner, with_messages=False)
        if thread is None:
            raise ThreadNotFound(thread_id=thread_id)
        return thread


@dataclass(frozen=True)
class ThreadImport:
    """A checked file that can be stored. `thread` is the thread that will be stored, `messages` its number of messages."""

    file: ThreadFile
    thread: ChatThread
    messages: int
    as_copy: bool

    def store(self, repository: ConversationRepository, show: Callable[[Progress], None]) -> ChatThread:
        """Store the thread, which is visible when it is complete.

        Raises Conflict if the thread, or another message with one of the ids, exists.

        `show` is called for every thousandth message.
        """
        messages = self._shown(show)
        if self.as_copy:
            return repository.import_thread(self.thread, _messages_with_new_ids(messages))
        if repository.get_thread(self.thread.id, with_messages=False) is not None:
            raise Conflict(what=f"Thread {self.thread.id!r} exists already.")  # before a million messages are sent
        return repository.import_thread(self.thread, messages)

    def _shown(self, show: Callable[[Progress], None]) -> Iterator[ChatMessage]:
        for number, message in enumerate(self.file.messages()):
            if number % _MESSAGES_PER_PROGRESS == 0:
                show(Progress(self.file.source, self.file.offset, number))
            yield message


def checked_import(
    file: ThreadFile, *, as_copy: bool = False, user_id: str | None = None, org_id: str | None = None
) -> ThreadImport:
    """The import of a file after a check of all values. Raises InvalidThreadData.

    With `as_copy`, the thread and its messages get new ids. `user_id` and `org_id` replace those of the file.
    """
    thread, messages = file.checked()
    changes = {"id": new_id() if as_copy else None, "user_id": user_id, "org_id": org_id}
    changed = thread.model_copy(update={name: value for name, value in changes.items() if value is not None})
    return ThreadImport(file, imported_thread(changed), messages, as_copy)
