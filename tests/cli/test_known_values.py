"""Options that accept one of a list: a wrong value is an error that names the list and what may have been meant."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from chatstore_cli.cli.completed_values import _WORDS
from chatstore_cli.cli.main import root_command
from tests.conftest import Chatstore


@pytest.mark.parametrize(
    ("arguments", "option", "value", "meant"),
    [
        (("usage", "--by", "day,tenat"), "--by", "tenat", "tenant"),
        (("usage", "--sort", "tokns"), "--sort", "tokns", "tokens"),
        (("usage", "--cost", "calc"), "--cost", "calc", "calculate"),
        (("usage", "--budget", "1", "--per", "modl"), "--per", "modl", "model"),
        (("sessions", "list", "--status", "faild"), "--status", "faild", "failed"),
        (("sessions", "list", "--sort", "costs"), "--sort", "costs", "cost"),
        (("sessions", "list", "--layout", "mesages"), "--layout", "mesages", "messages"),
        (("sessions", "list", "-o", "yml"), "--output", "yml", "yaml"),
        (("sessions", "list", "--color", "alway"), "--color", "alway", "always"),
        (("sessions", "sizes", "--layout", "generl"), "--layout", "generl", "general"),
        (("sessions", "show", "x", "--full", "--tools", "fold"), "--tools", "fold", "folded"),
        (("indexes", "check", "--layout", "agnts"), "--layout", "agnts", "agents"),
        (("resume", "x", "--as", "opnai"), "--as", "opnai", "openai"),
        (("search", "word", "--role", "asistant"), "--role", "asistant", "assistant"),
        (("threads", "add", "x", "--role", "usr", "--text", "a"), "--role", "usr", "user"),
        (
            ("general", "append", "x", "--tenant", "t", "--role", "assist", "--text", "a"),
            "--role",
            "assist",
            "assistant",
        ),
        (("flush-cache", "--ttl-from", "creatd"), "--ttl-from", "creatd", "created"),
        (("verify", "--only", "conection"), "--only", "conection", "connection"),
        (("serve", "keys", "create", "--name", "x", "--right", "reed"), "--right", "reed", "read"),
    ],
)
def test_a_wrong_value_is_answered_by_what_may_have_been_meant(
    chatstore: Chatstore, arguments: tuple[str, ...], option: str, value: str, meant: str
) -> None:
    outcome = chatstore(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"{option}: {value!r} is not " in outcome.err
    assert f"Did you mean '{meant}'" in outcome.err


def test_a_role_of_another_program_is_searched_for(chatstore: Chatstore, database: Any) -> None:
    row = {"_id": "1", "session_id": "s-1", "role": "bot", "text": "refund", "created_at": "2026-03-02T11:41:00+00:00"}
    database.chat_messages.insert_one(row)
    found = chatstore("search", "refund", "--role", "bot", "-o", "csv")
    assert (found.code, "refund" in found.out) == (0, True), found.err
    assert chatstore("search", "refund", "--role", "robot").code == 2


def test_words_of_a_placeholder_are_completed() -> None:
    """A placeholder that looks like a list of words is one: the shell offers its words."""
    lists = {
        (path, parameter.opts[0]): parameter.metavar
        for path, parameter in _parameters(root_command(), "chatstore", None)
        if "|" in (parameter.metavar or "") and parameter.metavar == parameter.metavar.lower()
    }
    assert ("chatstore resume", "--as") in lists
    assert [place for place, metavar in lists.items() if not _WORDS.fullmatch(metavar)] == []


def _parameters(command: Any, name: str, parent: Any) -> Any:
    context = typer.Context(command, parent=parent, info_name=name)
    path = context.command_path
    for parameter in command.get_params(context):
        if parameter.param_type_name == "option":
            yield path, parameter
    for each in command.list_commands(context) if hasattr(command, "list_commands") else ():
        yield from _parameters(command.get_command(context, each), each, context)


def test_the_status_paused_is_an_option(chatstore: Chatstore) -> None:
    for command in ("list", "delete"):
        outcome = chatstore("sessions", command, "--status", "paused")
        assert outcome.code == 2
        assert outcome.err.endswith("unknown. Use the option --paused.\n")
    assert "--paused" not in chatstore("usage", "--status", "paused").err  # which does not have this option


def test_html_is_offered_only_if_the_command_may_print_it(chatstore: Chatstore) -> None:
    for arguments in (("sessions", "show", "x", "--full", "-o", "xml"), ("-o", "xml", "sessions", "show", "x")):
        assert "html" in chatstore(*arguments).err
    for arguments in (("sessions", "list", "-o", "xml"), ("resume", "x", "-o", "xml"), ("usage", "-o", "htm")):
        outcome = chatstore(*arguments)
        assert (outcome.code, "jsonl" in outcome.err, "html" in outcome.err) == (2, True, False)
