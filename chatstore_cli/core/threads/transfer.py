"""A thread with its messages as JSON: written by `exported`, read by `read_thread`.

The format has a name and a version. Each message has a line of its own:

    {"format": "chatstore.thread", "version": 1, "thread": {...}, "messages": [
    {...},
    {...}
    ]}

Thread and messages have the fields of ChatThread and ChatMessage. Times are RFC 3339 in UTC. Also read is the dump of a
thread with its `chat_messages` in one object, which the documented library makes (`thread.model_dump_json()`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from chatstore_cli.domain.errors import InvalidThreadData
from chatstore_cli.domain.threads.models import ChatMessage, ChatThread, Edit, ForkedFrom, new_id

FORMAT, VERSION = "chatstore.thread", 1

Model = TypeVar("Model", bound=BaseModel)


def exported(thread: ChatThread, messages: Iterable[ChatMessage]) -> Iterator[str]:
    """The JSON text of a thread in pieces, each of at most one message."""
    head = _json(thread.model_dump(mode="json", exclude={"chat_messages"}))
    yield f'{{"format": "{FORMAT}", "version": {VERSION}, "thread": {head}, "messages": ['
    between = "\n"
    for message in messages:
        yield f"{between}{_json(message.model_dump(mode='json'))}"
        between = ",\n"
    yield "\n]}\n"


def read_thread(source: str | bytes | Mapping[str, Any]) -> tuple[ChatThread, list[ChatMessage]]:
    """The thread and the messages of an export. Raises InvalidThreadData, which names what is wrong.

    Values are checked when they are stored. Here, only the shape is.
    """
    whole = _object(_decoded(source) if isinstance(source, str | bytes) else source, "export")
    if "format" in whole:
        thread, messages = _of_this_version(whole), whole.get("messages")
    else:
        thread, messages = whole, whole.get("chat_messages", [])
    origin = thread.get("forked_from")
    if origin is not None:
        _require_keys(_object(origin, "thread.forked_from"), ForkedFrom, "thread.forked_from")
    read = _model(ChatThread, {key: value for key, value in thread.items() if key != "chat_messages"}, "thread")
    listed = enumerate(_list(messages, "messages"))
    return read, [_message(each, f"messages[{number}]", read.id) for number, each in listed]


def with_new_ids(thread: ChatThread, messages: Iterable[ChatMessage]) -> tuple[ChatThread, list[ChatMessage]]:
    """A copy of a thread that can be stored beside it."""
    copy = thread.model_copy(update={"id": new_id()})
    return copy, [each.model_copy(update={"id": new_id(), "chat_thread_id": copy.id}) for each in messages]


def _of_this_version(whole: Mapping[str, Any]) -> Mapping[str, Any]:
    """The thread of an export in this format."""
    if (whole["format"], whole.get("version")) != (FORMAT, VERSION):
        found = f"the format {whole['format']!r}, version {whole.get('version')!r}"
        raise InvalidThreadData(what=f"export: it has {found}. Only {FORMAT!r}, version {VERSION}, can be imported.")
    unknown = sorted(map(repr, whole.keys() - {"format", "version", "thread", "messages"}))
    if unknown:
        raise InvalidThreadData(what=f"export: the key {unknown[0]} is not known.")
    return _object(whole.get("thread"), "thread")


def _message(value: object, path: str, thread_id: str) -> ChatMessage:
    message = _object(value, path)
    for number, edit in enumerate(_list(message.get("edits", []), f"{path}.edits")):
        _require_keys(_object(edit, f"{path}.edits[{number}]"), Edit, f"{path}.edits[{number}]")
    read = _model(ChatMessage, message, path)
    if read.chat_thread_id != thread_id:
        raise InvalidThreadData(
            what=f"{path}.chat_thread_id: {read.chat_thread_id!r} is not the thread's id {thread_id!r}."
        )
    return read


def _model(model: type[Model], value: Mapping[str, Any], path: str) -> Model:
    _require_keys(value, model, path)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in first["loc"])
        raise InvalidThreadData(what=f"{path}{where}: {first['msg']}.") from None


def _require_keys(value: Mapping[str, Any], model: type[BaseModel], path: str) -> None:
    """Reject keys that the model has not, because they would be lost, and times and ids that it would make up."""
    unknown = sorted(map(repr, value.keys() - model.model_fields.keys()))
    missing = sorted(map(repr, {"id", "created_at", "updated_at"} & model.model_fields.keys() - value.keys()))
    if unknown:
        raise InvalidThreadData(what=f"{path}: the key {unknown[0]} is not known.")
    if missing:
        raise InvalidThreadData(what=f"{path}: the key {missing[0]} is missing.")


def _object(value: object, path: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidThreadData(what=f"{path}: a {type(value).__name__} is not a JSON object.")
    return value


def _list(value: object, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidThreadData(what=f"{path}: a {type(value).__name__} is not a list.")
    return value


def _decoded(source: str | bytes) -> Any:
    try:
        return json.loads(source)
    except (ValueError, RecursionError) as error:
        raise InvalidThreadData(what=f"export: it is not JSON: {error}.") from None


def _json(value: object) -> str:
    """JSON in ASCII: it needs no encoding, has no line ends, and is safe to print."""
    return json.dumps(value)
