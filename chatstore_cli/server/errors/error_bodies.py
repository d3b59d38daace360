"""The bodies of errors. Each family of routes has the form that its clients expect; the path decides which one.

The table holds for every error: unknown paths and methods, invalid requests, refused access, and unexpected errors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from http import HTTPStatus
from typing import Any, NamedTuple

from chatstore_cli.domain.errors import ChatstoreError, ExitCode, Overdue, Unreachable
from chatstore_cli.server.turns.answers import NoAnswer


class Form(Enum):
    """A form of error bodies."""

    DETAIL = auto()
    """`{"detail": "text"}`: the chat application and the multi-agent platform."""
    ERROR_TEXT = auto()
    """`{"error": "text", "issues"?: [...]}`: the platform for saved agents."""
    OWN = auto()
    """`{"error": {code, kind, message, hint}}`: chatstore's own routes, as `-o json` prints errors."""


FORMS: Mapping[str, Form] = {
    "api": Form.DETAIL,
    "chat": Form.DETAIL,
    "ws": Form.DETAIL,
    "agents": Form.ERROR_TEXT,
    "session": Form.ERROR_TEXT,
    "config": Form.ERROR_TEXT,
    "telephony": Form.ERROR_TEXT,
    "v1": Form.ERROR_TEXT,
}
"""The form for each first part of a path. Any other path has chatstore's own form."""

_STATUS: Mapping[ExitCode, HTTPStatus] = {
    ExitCode.WRONG_USE: HTTPStatus.BAD_REQUEST,
    ExitCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    ExitCode.NOT_ALLOWED: HTTPStatus.FORBIDDEN,
    ExitCode.UNREACHABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    ExitCode.CONFLICT: HTTPStatus.CONFLICT,
}
_UNREACHABLE = "The database does not answer. Try again later."
_TOO_SLOW = "The database did not answer in time. Try again later."
_ASK_FOR_LESS = "If it happens again, choose a shorter period or more filters."
_UNEXPECTED = "The request failed. The server's log has the reason."


class Refusal(Exception):
    """A request that is answered with an error. `issues` name the invalid parts of a request."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str | None = None,
        hint: str | None = None,
        issues: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind or HTTPStatus(status).phrase.lower().replace(" ", "_")
        self.hint = hint
        self.issues = issues
        self.headers = headers or {}


class ErrorAnswer(NamedTuple):
    """Status, body and headers of an error."""

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str]


def form_of(path: str) -> Form:
    """The form of the errors of a path."""
    return FORMS.get(path.lstrip("/").partition("/")[0], Form.OWN)


def answer_to(path: str, refusal: Refusal) -> ErrorAnswer:
    """The answer to a request that was refused, in the form of its path."""
    form = form_of(path)
    body: dict[str, Any]
    if form is Form.DETAIL:
        body = {"detail": list(refusal.issues) or refusal.message}
    elif form is Form.ERROR_TEXT:
        body = {"error": refusal.message}
        if refusal.issues:
            body["issues"] = list(refusal.issues)
    else:
        error = {"code": refusal.status, "kind": refusal.kind, "message": refusal.message, "hint": refusal.hint}
        body = {"error": error | ({"issues": list(refusal.issues)} if refusal.issues else {})}
    return ErrorAnswer(refusal.status, body, refusal.headers)


def refusal_of(error: ChatstoreError) -> Refusal:
    """The refusal that reports an error of chatstore.

    The texts of an unreachable database and of a failure name hosts, folders or documents: these go to the log only.
    NoAnswer names only what kind of failure it was.
    """
    status = _STATUS.get(error.exit_code, HTTPStatus.INTERNAL_SERVER_ERROR)
    if isinstance(error, Overdue):
        return Refusal(status, _TOO_SLOW, kind=error.kind, hint=_ASK_FOR_LESS)
    if isinstance(error, Unreachable):
        return Refusal(status, _UNREACHABLE, kind=error.kind)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(error, NoAnswer):
        return Refusal(status, _UNEXPECTED, kind=error.kind)
    return Refusal(status, _of_parameters(error.message) or "", kind=error.kind, hint=_of_parameters(error.hint))


_OPTION = re.compile(r"(?<![\w-])--([a-z]+(?:-[a-z]+)*)")


def _of_parameters(text: str | None) -> str | None:
    """The text of an error with the names of parameters instead of the options that a command has for them."""
    if text is None or "chatstore " in text:  # a whole command is right as it is
        return text
    return _OPTION.sub(lambda found: found[1].replace("-", "_"), text)


def unexpected() -> Refusal:
    """The refusal that reports an error that nobody expected."""
    return Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, _UNEXPECTED, kind="unexpected")
