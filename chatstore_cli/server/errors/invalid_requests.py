"""Answers to requests whose parts are invalid: what is wrong with which part, in the form of the path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from chatstore_cli.server.errors.error_bodies import ErrorAnswer, Form, Refusal, answer_to, form_of

_STARTED_CALL = {"userIdentity": "user-123", "roomName": "room-1", "agentConfig": {"tools": ["get_weather"]}}
_EXAMPLES: Mapping[str, Any] = {"/session": _STARTED_CALL, "/v1/sessions/start": _STARTED_CALL}
"""A valid body for these paths, which their clients find in the answer to an invalid one."""


def answer_to_invalid(path: str, errors: Sequence[Mapping[str, Any]]) -> ErrorAnswer:
    """The answer to a request with these errors of pydantic: 400 for the platform of saved agents, 422 for all others.

    The issues of that platform have `code`, `path` and `message`; the others have `loc`, `msg` and `type`.
    """
    is_platform = form_of(path) is Form.ERROR_TEXT
    text = _storable("; ".join(_sentence(each) for each in errors))
    issues = [_platform_issue(each) if is_platform else _issue(each) for each in errors]
    status = HTTPStatus.BAD_REQUEST if is_platform else HTTPStatus.UNPROCESSABLE_ENTITY
    answer = answer_to(path, Refusal(status, text, kind="invalid", issues=issues))
    if path in _EXAMPLES:
        answer.body["example"] = _EXAMPLES[path]
    return answer


def _sentence(error: Mapping[str, Any]) -> str:
    """What is wrong, with the name of the part unless the message has it already."""
    if error["type"] == "json_invalid":
        return "The body is not valid JSON"
    part = ".".join(map(str, error["loc"][1:])) or "body"
    if error["type"] == "missing":
        return f"{part} is required"
    return _message(error) if error["type"] == "value_error" else f"{part}: {error['msg']}"


def _message(error: Mapping[str, Any]) -> str:
    """The message of our own check, without the prefix that pydantic adds to it."""
    own = error.get("ctx", {}).get("error") if error["type"] == "value_error" else None
    return str(own) if own else str(error["msg"])


def _issue(error: Mapping[str, Any]) -> dict[str, Any]:
    loc = [_storable(each) for each in error["loc"]]
    return {"loc": loc, "msg": _storable(_message(error)), "type": error["type"]}


def _platform_issue(error: Mapping[str, Any]) -> dict[str, Any]:
    is_own = error["type"] in ("value_error", "missing", "json_invalid")
    message = _sentence(error) if is_own else str(error["msg"])
    path = [] if error["type"] == "json_invalid" else [_storable(each) for each in error["loc"][1:]]
    return {"code": error["type"], "path": path, "message": _storable(message)}


def _storable(value: Any) -> Any:
    """A part of a request that can be encoded: a lone surrogate in the name of a key is replaced."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
