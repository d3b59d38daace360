"""Reads the file of one exported thread: see core/threads/transfer.py for its shape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO, TypeVar

from pydantic import BaseModel, ValidationError

from chatstore_cli.core.threads.imports import imported_messages, imported_thread
from chatstore_cli.core.threads.json_reader import JsonReader
from chatstore_cli.domain.errors import InvalidThreadData
from chatstore_cli.domain.threads.models import ChatMessage, ChatThread

Model = TypeVar("Model", bound=BaseModel)

MESSAGES = "chat_messages"
"""The member of an exported thread that has its messages."""
_NEEDED: dict[type[BaseModel], tuple[str, ...]] = {
    ChatThread: ("id", "user_id", "org_id", "name", "created_at", "updated_at"),
    ChatMessage: ("id", "sender_role", "content", "created_at", "updated_at"),
}
"""Fields without which nothing is imported. The models have defaults for some of them, which would be wrong here."""


class ThreadFile:
    """The file of one thread. It can be read again from its beginning, and needs little memory.

    `ignored` has the names of fields that chatstore does not know, which are not imported.
    """

    def __init__(self, stream: BinaryIO, source: str) -> None:
        """`source` names the file in errors."""
        self._stream, self._source = stream, source
        self.ignored: set[str] = set()

    def checked(self) -> tuple[ChatThread, int]:
        """The thread without messages, and how many messages the file has. Raises InvalidThreadData.

        Every value is checked, so that a file with an error is noticed before anything is stored.
        """
        fields: dict[str, Any] = {}
        ids: set[str] = set()
        reader = self._reader()
        for name, value in reader.members(MESSAGES):
            if name == MESSAGES:
                self._check_messages(value, reader, ids)
            else:
                fields[name] = value
        try:
            thread = imported_thread(parsed(ChatThread, fields))
        except InvalidThreadData as error:
            raise InvalidThreadData(what=f"{self._source}: {error.message}") from error
        self.ignored |= fields.keys() - ChatThread.model_fields.keys()
        return thread, len(ids)

    def messages(self) -> Iterator[ChatMessage]:
        """The messages, streamed."""
        for name, value in self._reader().members(MESSAGES):
            if name == MESSAGES:
                yield from (parsed(ChatMessage, each) for each in value)

    def _reader(self) -> JsonReader:
        self._stream.seek(0)
        return JsonReader(self._stream, self._source)

    def _check_messages(self, values: Iterable[Any], reader: JsonReader, ids: set[str]) -> None:
        try:
            for message in imported_messages("", (parsed(ChatMessage, each) for each in self._noted(values))):
                if message.id in ids:
                    raise InvalidThreadData(what=f"id: {message.id!r} is the id of an earlier message.")
                ids.add(message.id)
        except InvalidThreadData as error:
            if error.message.startswith(self._source):  # not JSON: the error has its place
                raise
            what = f"{self._source}, line {reader.line}, message {len(ids) + 1:,}: {error.message}"
            raise InvalidThreadData(what=what, hint=error.hint) from error

    def _noted(self, values: Iterable[Any]) -> Iterator[Any]:
        """The same values. Names of their fields that are not imported are noted."""
        known = ChatMessage.model_fields.keys()
        for value in values:
            if isinstance(value, Mapping) and not value.keys() <= known:
                self.ignored |= {f"{MESSAGES}.{name}" for name in value.keys() - known}
            yield value


def parsed(model: type[Model], value: Any) -> Model:
    """The thread or message that a JSON object describes. Raises InvalidThreadData that names the field."""
    if not isinstance(value, Mapping):
        raise InvalidThreadData(what=f"A JSON object is expected, not {str(value)[:20]!r}.")
    missing = [name for name in _NEEDED[model] if value.get(name) is None]
    if missing:
        raise InvalidThreadData(what=f"{' and '.join(missing)}: missing.")
    try:
        return model.model_validate({"chat_thread_id": "", **value} if model is ChatMessage else value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        path = ".".join(map(str, first["loc"]))
        raise InvalidThreadData(what=f"{path}: {first['msg']}.") from error
