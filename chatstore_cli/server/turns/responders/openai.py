"""The responder that asks a model behind an interface like OpenAI's, streamed."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import httpx2

from chatstore_cli.domain.content import content_text
from chatstore_cli.domain.errors import BadConfig
from chatstore_cli.domain.responding import Part, Question, TurnUsage
from chatstore_cli.domain.usage import Usage
from chatstore_cli.server.turns.answers import MOST_TEXT, NoAnswer

_ROLES = {"user", "assistant", "system"}
_MOST_MESSAGES = 100
_CONNECT_SECONDS = 10.0
_LONGEST_LINE = 1024 * 1024
_HEADERS = {"accept": "text/event-stream, application/json", "accept-encoding": "identity"}


class OpenAIResponder:
    """Sends the newest messages of the session as chat completions, and yields the answer as it comes.

    `base_url` ends before `/chat/completions`. The time limit is that of the whole answer, which the caller enforces. A
    redirect is a failure: the conversation and the key are for this server alone. Errors name neither it nor the key.
    """

    def __init__(self, base_url: str, model: str, key: str | None) -> None:
        """Raises BadConfig."""
        try:
            address = urlsplit(base_url)
            is_url = address.scheme in ("http", "https") and bool(address.hostname) and (address.port or 1) > 0
        except ValueError:
            is_url = False
        if not is_url:
            what = "it is not a URL that begins with http:// or https://."
            raise BadConfig(
                where="chatstore.server.responder_url", what=what, hint="For example http://localhost:11434/v1."
            )
        if key is not None and not (key.isascii() and key.isprintable() and key.strip() == key):
            what = "the key has white space, or characters that no header may have."
            raise BadConfig(where="chatstore.server.responder_key", what=what)
        self._url = base_url.rstrip("/") + "/chat/completions"
        self._model = model
        headers = _HEADERS | ({} if key is None else {"authorization": f"Bearer {key}"})
        timeout = httpx2.Timeout(None, connect=_CONNECT_SECONDS)
        self._client = httpx2.AsyncClient(headers=headers, timeout=timeout, follow_redirects=False)

    async def close(self) -> None:
        """Close the connections to the model's server."""
        await self._client.aclose()

    async def respond(self, question: Question) -> AsyncIterator[Part]:
        body = {
            "model": self._model,
            "messages": _messages(question),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        try:
            async with self._client.stream("POST", self._url, json=body) as answer:
                if answer.status_code != httpx2.codes.OK:
                    raise NoAnswer(reason=f"the model's server answered with status {answer.status_code}")
                if _content_type(answer) == "application/json":
                    for part in _whole(await _body(answer)):
                        yield part
                    return
                stream = _Stream()
                async for line in _lines(answer):
                    for text in stream.texts(line):
                        yield text
                if not stream.is_complete:
                    raise NoAnswer(reason=stream.missing(_content_type(answer)))
                if stream.usage is not None:
                    yield stream.usage
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise NoAnswer(reason=f"the connection to the model's server failed ({type(error).__name__})") from error


class _Stream:
    """What was read of a stream of chat completions. Only the last usage counts: some servers report a running total."""

    def __init__(self) -> None:
        self.usage: TurnUsage | None = None
        self.is_complete = False
        self._has_data = False
        self._turn_id = uuid.uuid4().hex

    def texts(self, line: str) -> list[str]:
        """The pieces of text in a line. Lines that are not data, and fields that are not expected, are ignored."""
        data = line.removeprefix("data:").strip()
        if not line.startswith("data:") or not data:
            return []
        self._has_data = True
        if data == "[DONE]":
            self.is_complete = True
            return []
        event = _object(data)
        self.usage = _usage(event, self._turn_id) or self.usage
        choices = [each for each in _list(event.get("choices")) if isinstance(each, dict)]
        self.is_complete = self.is_complete or any(isinstance(each.get("finish_reason"), str) for each in choices)
        return [text for each in choices if (text := _text(each.get("delta")))]

    def missing(self, content_type: str) -> str:
        """What is wrong with a stream that is not complete."""
        if self._has_data:
            return "the model's server ended the stream before the answer was complete"
        return f"the model's server answered with {content_type or 'no content type'}, without an event stream"


def _messages(question: Question) -> list[dict[str, str]]:
    messages = [
        {"role": each.role, "content": content_text(each.content)}
        for each in list(question.history)[-_MOST_MESSAGES:]
        if each.role in _ROLES
    ]
    if not messages or messages[-1] != {"role": "user", "content": question.text}:
        messages.append({"role": "user", "content": question.text})
    return messages


async def _lines(answer: httpx2.Response) -> AsyncIterator[str]:
    """The lines of the answer. Raises NoAnswer for one that is too long, which httpx2 would keep in memory."""
    rest = b""
    async for chunk in answer.aiter_bytes():
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            raise NoAnswer(reason="the model's server sent a line that is too long")
        for line in lines:
            yield line.decode("utf-8", "replace").rstrip("\r")
    if rest:
        yield rest.decode("utf-8", "replace").rstrip("\r")


async def _body(answer: httpx2.Response) -> str:
    body = b""
    async for chunk in answer.aiter_bytes():
        body += chunk
        if len(body) > 4 * MOST_TEXT:
            raise NoAnswer(reason="the model's server sent an answer that is too long")
    return body.decode("utf-8", "replace")


def _whole(body: str) -> list[Part]:
    """The parts of an answer that is not streamed: some servers ignore that a stream was asked for."""
    event = _object(body)
    choices = [each for each in _list(event.get("choices")) if isinstance(each, dict)]
    texts: list[Part] = [text for each in choices if (text := _text(each.get("message")))]
    usage = _usage(event, uuid.uuid4().hex)
    return texts if usage is None else [*texts, usage]


def _object(data: str) -> dict[str, Any]:
    """An event of the stream. Raises NoAnswer if it is an error, or not JSON."""
    try:
        event = json.loads(data, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise NoAnswer(reason="the model's server sent invalid JSON") from error
    if not isinstance(event, dict):
        return {}
    if event.get("error"):
        raise NoAnswer(reason="the model's server reported an error")
    return event


def _text(message: object) -> str | None:
    """The text of a message or a part of it. A refusal is an answer, too."""
    if not isinstance(message, dict):
        return None
    return next((text for key in ("content", "refusal") if isinstance(text := message.get(key), str) and text), None)


def _usage(event: dict[str, Any], turn_id: str) -> TurnUsage | None:
    usage = event.get("usage")
    if not isinstance(usage, dict):
        return None
    model = event.get("model")
    counts = Usage(usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0, 0, usage.get("cost"))
    return TurnUsage(counts, turn_id, model if isinstance(model, str) else None)


def _content_type(answer: httpx2.Response) -> str:
    return str(answer.headers.get("content-type", "")).partition(";")[0].strip().lower()[:100]


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
