"""The responder that asks a model behind an interface like OpenAI's, streamed."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import httpx2

from chatstore_cli.domain.content import content_text
from chatstore_cli.domain.responding import Part, Question, TurnUsage
from chatstore_cli.domain.usage import Usage
from chatstore_cli.server.answers import NoAnswer

_ROLES = {"user", "assistant", "system"}
_MOST_MESSAGES = 100
_CONNECT_SECONDS = 10.0
_LONGEST_LINE = 1024 * 1024


class OpenAIResponder:
    """Sends the newest messages of the session as chat completions, and yields the answer as it comes.

    `base_url` ends before `/chat/completions`. The time limit is that of the whole answer, which the caller enforces.
    """

    def __init__(self, base_url: str, model: str, key: str | None) -> None:
        self._url = base_url.rstrip("/") + "/chat/completions"
        self._model = model
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        timeout = httpx2.Timeout(None, connect=_CONNECT_SECONDS)
        self._client = httpx2.AsyncClient(headers=headers, timeout=timeout, follow_redirects=False)

    async def respond(self, question: Question) -> AsyncIterator[Part]:
        body = {
            "model": self._model,
            "messages": _messages(question),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        turn_id = uuid.uuid4().hex
        try:
            async with self._client.stream("POST", self._url, json=body) as answer:
                if answer.status_code != httpx2.codes.OK:
                    raise NoAnswer(reason=f"the model's server answered {answer.status_code}")
                async for line in answer.aiter_lines():
                    if len(line) > _LONGEST_LINE:
                        raise NoAnswer(reason="the model's server sent a line that is too long")
                    for part in _parts(line, turn_id):
                        yield part
        except httpx2.HTTPError as error:
            raise NoAnswer(reason=f"the model's server cannot be reached ({type(error).__name__})") from error


def _messages(question: Question) -> list[dict[str, str]]:
    messages = [
        {"role": each.role, "content": content_text(each.content)}
        for each in list(question.history)[-_MOST_MESSAGES:]
        if each.role in _ROLES
    ]
    if not messages or messages[-1] != {"role": "user", "content": question.text}:
        messages.append({"role": "user", "content": question.text})
    return messages


def _parts(line: str, turn_id: str) -> list[Part]:
    """What one line of the stream has. Lines that are not data, and fields that are not expected, are ignored."""
    data = line.removeprefix("data:").strip()
    if not line.startswith("data:") or data == "[DONE]":
        return []
    try:
        event = json.loads(data, parse_float=Decimal)
    except ValueError as error:
        raise NoAnswer(reason="the model's server sent invalid JSON") from error
    if not isinstance(event, dict):
        return []
    if "error" in event:
        raise NoAnswer(reason="the model's server reported an error")
    parts: list[Part] = []
    for choice in _list(event.get("choices")):
        delta = choice.get("delta") if isinstance(choice, dict) else None
        text = delta.get("content") if isinstance(delta, dict) else None
        if isinstance(text, str) and text:
            parts.append(text)
    usage = event.get("usage")
    if isinstance(usage, dict):
        model = event.get("model")
        parts.append(TurnUsage(_usage(usage), turn_id, model if isinstance(model, str) else None))
    return parts


def _usage(usage: dict[str, Any]) -> Usage:
    prompt, completion, total = (
        _count(usage.get(name)) for name in ("prompt_tokens", "completion_tokens", "total_tokens")
    )
    cost = usage.get("cost")
    known = Decimal(cost) if isinstance(cost, int | Decimal) and not isinstance(cost, bool) and cost >= 0 else None
    return Usage(prompt, completion, total or prompt + completion, known)


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
