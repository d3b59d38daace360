"""Errors about a wrong value name the option or argument that the user wrote, not the library's name of it."""

from __future__ import annotations

import pytest

from tests.conftest import Chatstore

_THREAD = ("--user", "a", "--tenant", "b")
_ADD = ("threads", "add", "t-1", "--role", "user", "--text", "x")


@pytest.mark.parametrize(
    ("arguments", "beginning"),
    [
        (
            ("agents", "numbers", "bind", "12ab", "65bb00000000000000000001"),
            "NUMBER must be a valid E.164 phone number.",
        ),
        (("agents", "numbers", "unbind", "x", "--yes"), "NUMBER must be a valid E.164 phone number."),
        (("agents", "resolve", "--did", "abc"), "--did must be a valid E.164 phone number."),
        (("agents", "create", ""), "NAME is empty."),
        (("agents", "list", "--tenant", ""), "--tenant is empty."),
        (("agents", "list", "--user", ""), "--user is empty."),
        (("states", "get", "", "s-1"), "USER_ID is empty."),
        (("states", "get", "ana", ""), "SESSION_ID is empty."),
        (("states", "get", "ana", "s-1", "a["), "PATH 'a['"),
        (("threads", "create", "", *_THREAD), "NAME: it is empty."),
        (("threads", "create", "x", "--user", "", "--tenant", "b"), "--user: it is empty."),
        ((*_ADD, "--sender", ""), "--sender: it is empty."),
        ((*_ADD, "--message-id", ""), "--message-id: it is empty."),
        (("general", "list", "--tenant", "", "--user", "a"), "--tenant is empty."),
        (("workflows", "history", *_THREAD, "--session-key", ""), "--session-key: '' is not "),
        (("sessions", "list", "--tag", ""), "--tag: '' is not a tag"),
        (("sessions", "rename", "s-1", "a\nb"), "TITLE: 'a\\nb' is not a title"),
        (("history", ""), "SESSION_ID: '' is not a session id"),
    ],
)
def test_an_error_names_the_option_or_the_argument(
    chatstore: Chatstore, arguments: tuple[str, ...], beginning: str
) -> None:
    outcome = chatstore(*arguments)
    assert outcome.code == 2, outcome.err
    assert outcome.err.splitlines()[-1].startswith(f"chatstore: {beginning}")
