"""Answers to requests whose parts are invalid: what is wrong with which part, in the form of the path."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from chatstore_cli.core.similar import did_you_mean
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
    return _message(error) if error["type"] == "value_error" else f"{part}: {_message(error)}"


_PLAIN_WORDS = {
    "bool_parsing": "Input should be true or false",
    "decimal_parsing": "Input should be a number",
    "dict_type": "Input should be an object",
    "int_from_float": "Input should be a whole number",
    "int_parsing": "Input should be a whole number",
    "model_attributes_type": "Input should be an object",
    "model_type": "Input should be an object",
}
"""Messages for the errors that pydantic describes in the words of Python."""


def _message(error: Mapping[str, Any]) -> str:
    """The message of our own check, without the prefix that pydantic adds to it, or pydantic's in plain words."""
    if error["type"] == "enum":
        return f"{error['msg']}{_meant(error)}"
    own = error.get("ctx", {}).get("error") if error["type"] == "value_error" else None
    return str(own) if own else _PLAIN_WORDS.get(error["type"], str(error["msg"]))


def _meant(error: Mapping[str, Any]) -> str:
    """`. Did you mean 'failed'?` for a value that is like one of those that are expected."""
    value = error.get("input")
    words = re.findall(r"'([^']*)'", str(error.get("ctx", {}).get("expected", "")))
    meant = did_you_mean(value, words) if isinstance(value, str) else None
    return f". {meant}" if meant is not None else ""


def _issue(error: Mapping[str, Any]) -> dict[str, Any]:
    loc = [_storable(each) for each in error["loc"]]
    return {"loc": loc, "msg": _storable(_message(error)), "type": error["type"]}


def _platform_issue(error: Mapping[str, Any]) -> dict[str, Any]:
    is_own = error["type"] in ("value_error", "missing", "json_invalid")
    message = _sentence(error) if is_own else _message(error)
    path = [] if error["type"] == "json_invalid" else [_storable(each) for each in error["loc"][1:]]
    return {"code": error["type"], "path": path, "message": _storable(message)}


def _storable(value: Any) -> Any:
    """A part of a request that can be encoded: a lone surrogate in the name of a key is replaced."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
