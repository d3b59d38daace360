"""Reads the file of one exported thread: see core/threads/transfer.py for its shape."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO, TypeVar

from pydantic import BaseModel, ValidationError

from chatstore_cli.core.threads.imports import imported_messages, imported_thread
from chatstore_cli.core.threads.json_reader import JsonReader
from chatstore_cli.domain.errors import InvalidThreadData
from chatstore_cli.domain.threads.models import ChatMessage, ChatThread, Edit, ForkedFrom

Model = TypeVar("Model", bound=BaseModel)

MESSAGES = "chat_messages"
"""The member of an exported thread that has its messages."""
_NEEDED: dict[type[BaseModel], tuple[str, ...]] = {
    ChatThread: ("id", "user_id", "org_id", "name", "created_at", "updated_at"),
    ChatMessage: ("id", "chat_thread_id", "sender_role", "content", "created_at", "updated_at"),
    Edit: ("content", "edited_at"),
    ForkedFrom: ("thread_id", "sequence"),
}
"""Required fields of an import. The models have defaults for some of them, which would be wrong here."""


class ThreadFile:
    """The file of one thread. It can be read again from its beginning, and needs little memory."""

    def __init__(self, stream: BinaryIO, source: str) -> None:
        """`source` names the file in errors."""
        self._stream, self.source = stream, source

    def checked(self) -> tuple[ChatThread, int]:
        """The thread without messages, and how many messages the file has. Raises InvalidThreadData.

        Every value is checked, so that a file with an error is noticed before anything is stored.
        """
        fields: dict[str, Any] = {}
        ids: set[str] = set()
        thread_ids: set[str] = set()
        reader = self._reader()
        for name, value in reader.members(MESSAGES):
            if name == MESSAGES:
                self._check_messages(value, reader, ids, thread_ids)
            else:
                fields[name] = value
        try:
            thread = checked_thread(fields, thread_ids)
        except InvalidThreadData as error:
            raise InvalidThreadData(what=f"{self.source}: {error.message}") from error
        return thread, len(ids)

    def messages(self) -> Iterator[ChatMessage]:
        """The messages, streamed."""
        for name, value in self._reader().members(MESSAGES):
            if name == MESSAGES:
                yield from (parsed(ChatMessage, each) for each in value)

    @property
    def offset(self) -> int:
        """The bytes of the file that are read so far."""
        return self._stream.tell()

    @property
    def size(self) -> int:
        """The size of the file in bytes. The next reading begins at its beginning."""
        return self._stream.seek(0, os.SEEK_END)

    def _reader(self) -> JsonReader:
        self._stream.seek(0)
        return JsonReader(self._stream, self.source)

    def _check_messages(self, values: Iterable[Any], reader: JsonReader, ids: set[str], thread_ids: set[str]) -> None:
        try:
            check_messages(values, ids, thread_ids)
        except InvalidThreadData as error:
            if error.message.startswith(self.source):  # not JSON: the error has its place
                raise
            what = f"{self.source}, line {reader.line}, message {len(ids) + 1:,}: {error.message}"
            raise InvalidThreadData(what=what, hint=error.hint) from error


def check_messages(values: Iterable[Any], ids: set[str], thread_ids: set[str]) -> None:
    """Check every message, and collect the ids of the messages and those of the threads that they name."""

    def messages() -> Iterator[ChatMessage]:
        for value in values:
            message = parsed(ChatMessage, value)
            thread_ids.add(message.chat_thread_id)
            yield message

    for message in imported_messages("", messages()):
        if message.id in ids:
            raise InvalidThreadData(what=f"id: {message.id!r} is the id of an earlier message.")
        ids.add(message.id)


def checked_thread(fields: Mapping[str, Any], thread_ids: set[str]) -> ChatThread:
    """The thread of these fields, to which messages belong that name these threads."""
    thread = imported_thread(parsed(ChatThread, fields))
    if strangers := thread_ids - {thread.id}:
        raise InvalidThreadData(what=f"id: {thread.id!r} is not the chat_thread_id of messages, {min(strangers)!r}.")
    return thread


def parsed(model: type[Model], value: Any) -> Model:
    """The thread or message that a JSON object describes. Raises InvalidThreadData that names the field."""
    if not isinstance(value, Mapping):
        raise InvalidThreadData(what=f"A JSON object is expected, not {str(value)[:20]!r}.")
    _check_names(model, value, "")
    for number, edit in enumerate(value["edits"] if isinstance(value.get("edits"), list) else ()):
        _check_names(Edit, edit, f"edits[{number}].")
    _check_names(ForkedFrom, value.get("forked_from"), "forked_from.")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        path = ".".join(map(str, first["loc"]))
        raise InvalidThreadData(what=f"{path}: {first['msg']}.") from error


def _check_names(model: type[BaseModel], value: Any, path: str) -> None:
    """Reject unknown fields, because they would be lost, and missing ones for which the model has a default."""
    if not isinstance(value, Mapping):
        return  # the model rejects it
    unknown = sorted(map(repr, value.keys() - model.model_fields.keys()))
    missing = [name for name in _NEEDED[model] if value.get(name) is None]
    if unknown:
        raise InvalidThreadData(what=f"{path}{unknown[0]}: chatstore has no such field, so it would be lost.")
    if missing:
        raise InvalidThreadData(what=f"{path}{', '.join(missing)}: missing.")
