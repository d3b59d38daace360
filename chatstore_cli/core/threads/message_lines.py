"""Adds the messages of JSON lines to a thread: `threads add --jsonl`.

Each line is an object with `role` and `content` (a text or an object), and optionally `name` (who spoke), `metadata` and
`message_id`. All lines are checked before the first one is stored.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

from chatstore_cli.core.threads.checks import (
    MAX_CONTENT_BYTES,
    checked_content,
    checked_id,
    checked_owner,
    checked_role,
)
from chatstore_cli.core.threads.json_reader import reject_constant
from chatstore_cli.core.threads.repository import MOST_MESSAGES
from chatstore_cli.core.threads.requests import message_request
from chatstore_cli.domain.errors import BadLines, ChatstoreError, Interrupted, InvalidThreadData
from chatstore_cli.domain.journal import Progress
from chatstore_cli.domain.quantities import quantity
from chatstore_cli.domain.threads.results import AddedLines

if TYPE_CHECKING:
    from chatstore_cli.domain.threads.models import CreateChatMessageRequest
    from chatstore_cli.domain.threads.ports import ConversationRepository, Owner

LONGEST_LINE = 96 << 20
"""Bytes of one line. A message has at most 12 MiB, which JSON escapes make six times as long."""
_MOST_FLAWS = 20
_KEYS = ("role", "content", "name", "metadata", "message_id")


@dataclass
class MessageLines:
    """The lines of a stream that can be read again from its beginning. `source` names it in errors."""

    stream: BinaryIO
    source: str
    thread_id: str
    _ids: set[str] = field(default_factory=set)

    def check(self) -> int:
        """Check every line, and return how many messages they have. Raises BadLines, which names each bad line."""
        flaws: list[str] = []
        messages = bad = 0
        for number, line in self._lines():
            try:
                self._check(self._request(line))
                messages += 1
            except InvalidThreadData as error:
                bad += 1
                if len(flaws) < _MOST_FLAWS:
                    flaws.append(f"Line {number:,}: {error.message}".replace("\n", " "))
        if bad:
            rest = [f"… and {quantity(bad - len(flaws), 'more bad line')}."] if bad > len(flaws) else []
            what = f"{self.source} has {quantity(bad, 'bad line')}. Nothing was stored."
            raise BadLines(what="\n".join([what, *flaws, *rest]))
        if not messages:
            raise InvalidThreadData(what=f"{self.source} has no messages.")
        return messages

    def store(
        self, repository: ConversationRepository, owner: Owner, show: Callable[[Progress], None] = lambda _: None
    ) -> AddedLines:
        """Store the messages in their order, in batches, and call `show` after each.

        An error, and Interrupted after Ctrl-C, report which lines are stored.
        """
        added = AddedLines()
        try:
            for last_line, batch in self._batches():
                added.count(repository.create_messages(batch, owner=owner), last_line)
                show(Progress(self.source, self.stream.tell(), added.messages))
        except KeyboardInterrupt:
            raise Interrupted(what=added.in_words) from None
        except ChatstoreError as error:
            error.hint = " ".join(filter(None, [error.hint, added.in_words]))
            raise
        return added

    def _batches(self) -> Iterator[tuple[int, list[CreateChatMessageRequest]]]:
        """Requests that can be stored together, with the number of their last line."""
        batch: list[CreateChatMessageRequest] = []
        size = last_line = 0
        for number, line in self._lines():
            request = self._request(line)
            request_size = checked_content(request.content)[1]
            if batch and (len(batch) == MOST_MESSAGES or size + request_size > MAX_CONTENT_BYTES):
                yield last_line, batch
                batch, size = [], 0
            batch.append(request)
            size += request_size
            last_line = number
        if batch:
            yield last_line, batch

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        """The lines that are not blank, with their numbers from 1."""
        self.stream.seek(0)
        number = 0
        while line := self.stream.readline(LONGEST_LINE + 1):
            number += 1
            if len(line) > LONGEST_LINE:
                raise InvalidThreadData(
                    what=f"{self.source}, line {number:,}: it has more than {LONGEST_LINE >> 20} MiB."
                )
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line.strip():
                yield number, line

    def _request(self, line: bytes) -> CreateChatMessageRequest:
        message = _object(line)
        content = message["content"]
        metadata = message.get("metadata")
        if not isinstance(content, str | Mapping):
            raise InvalidThreadData(what="content: it is neither a text nor a JSON object.")
        if metadata is not None and not isinstance(metadata, Mapping):
            raise InvalidThreadData(what="metadata: it is not a JSON object.")
        return message_request(
            self.thread_id, message["role"], content, message.get("name"), metadata, message.get("message_id")
        )

    def _check(self, request: CreateChatMessageRequest) -> None:
        checked_role(request.sender_role, strict=True, field="role")
        checked_content(request.content)
        if request.sender_id is not None:
            checked_owner(request.sender_id, "name")
        if request.message_id is not None:
            message_id = checked_id(request.message_id, "message_id")
            if message_id in self._ids:
                raise InvalidThreadData(what=f"message_id: {message_id!r} is the id of an earlier line.")
            self._ids.add(message_id)


def _object(line: bytes) -> dict[str, Any]:
    """The object of a line. Raises InvalidThreadData."""
    try:
        value = json.loads(line.decode().rstrip(), parse_constant=reject_constant)
    except UnicodeDecodeError as error:
        raise InvalidThreadData(what=f"byte {error.start + 1:,} is not UTF-8.") from error
    except json.JSONDecodeError as error:
        raise InvalidThreadData(what=f"it is not JSON: {error.msg} at column {error.pos + 1:,}.") from error
    except (ValueError, RecursionError) as error:
        raise InvalidThreadData(what=f"it is not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise InvalidThreadData(what="it is not a JSON object.")
    unknown = sorted(map(repr, value.keys() - set(_KEYS)))
    missing = [name for name in ("role", "content") if value.get(name) is None]
    if unknown:
        raise InvalidThreadData(what=f"{unknown[0]} is not a key of a message. Its keys are {', '.join(_KEYS)}.")
    if missing:
        raise InvalidThreadData(what=f"{' and '.join(missing)}: missing.")
    return value
