"""`chatstore help`: the help of any command, and suggestions for a command that does not exist."""

from __future__ import annotations

import pytest

from tests.conftest import Chatstore


@pytest.mark.parametrize("words", [(), ("sessions",), ("sessions", "list"), ("usage", "explain"), ("help",)])
def test_it_is_the_help_of_the_command(chatstore_without_database: Chatstore, words: tuple[str, ...]) -> None:
    by_name = chatstore_without_database("help", *words)
    assert (by_name.code, by_name.err) == (0, "")
    assert by_name.out == chatstore_without_database(*words, "--help").out


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("sesions",), "No such command 'sesions'. Did you mean 'sessions'? See chatstore --help."),
        (("sessions", "shwo"), "No such command 'shwo'. Did you mean 'show'? See chatstore sessions --help."),
        (("usage", "explian"), "No such command 'explian'. Did you mean 'explain'? See chatstore usage --help."),
        (("history", "x"), "chatstore history has no command 'x'. See chatstore history --help."),
    ],
)
def test_an_unknown_command_exits_with_status_2_and_a_suggestion(
    chatstore_without_database: Chatstore, words: tuple[str, ...], error: str
) -> None:
    outcome = chatstore_without_database("help", *words)
    assert (outcome.code, outcome.out, outcome.err) == (2, "", f"chatstore: {error}\n")
