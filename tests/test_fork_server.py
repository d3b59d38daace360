"""A forked command does what a started one does."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import Chatstore, server
from tests.support import fork_server

needs_a_fork_server = pytest.mark.skipif(not fork_server.CAN_FORK, reason="this system has no pidfd")


@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [
        (["--help"], b""),
        (["config", "show", "-o", "json"], b""),
        (["sessions", "lits"], b""),
        (["sessions", "list", "--uri", "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=1"], b""),
        (["flush-cache", "-", "--uri", "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=1"], b"x" * 1_000_000),
        (["history", "\udcff\U0001f989"], b""),
    ],
    ids=["help", "configuration", "wrong command", "no server", "standard input", "odd argument"],
)
def test_status_and_outputs_are_those_of_a_started_process(
    chatstore_without_database: Chatstore, arguments: list[str], stdin: bytes
) -> None:
    command = chatstore_without_database
    command.environment |= {"CHATSTORE_MONGO__TIMEOUT_SECONDS": "0.2", "CHATSTORE_MONGO__ENABLED": "true"}
    if arguments[0] == "history":
        command.environment["CHATSTORE_MONGO__ENABLED"] = "false"
    forked = command(*arguments, stdin=stdin)
    started = subprocess.run(
        command.command(*arguments), input=stdin, capture_output=True, cwd=command.folder, env=command.environment
    )
    assert (forked.code, forked.out, forked.err) == (
        started.returncode,
        started.stdout.decode("utf-8", "backslashreplace"),
        started.stderr.decode("utf-8", "backslashreplace"),
    )


@pytest.mark.parametrize("variables", [{"PYTHONWARNINGS": "error"}, {"LC_ALL": "C"}, {"LANG": "de_DE.UTF-8"}])
def test_variables_that_only_a_starting_process_reads_need_a_started_one(variables: dict[str, str]) -> None:
    assert fork_server.suits({"HOME": "/", "LC_ALL": "C.UTF-8"}) == fork_server.CAN_FORK
    assert not fork_server.suits({"HOME": "/", "LC_ALL": "C.UTF-8", **variables})


def test_a_command_that_takes_too_long_is_killed(chatstore_without_database: Chatstore) -> None:
    uri = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=60000"
    began = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        chatstore_without_database(
            "sessions", "list", "--uri", uri, env={"CHATSTORE_MONGO__TIMEOUT_SECONDS": "60"}, timeout=0.5
        )
    assert time.monotonic() - began < 30
    assert chatstore_without_database("--version").code == 0


@needs_a_fork_server
def test_a_shell_gets_the_streams_and_the_status(chatstore_without_database: Chatstore, tmp_path: Path) -> None:
    command = chatstore_without_database
    server().write_program(tmp_path / "chatstore")
    script = 'cd /; "$0" config show | head -1; "$0" sessions lits 2>&1; echo $?; "$0" nonsense || kill -TERM $$'
    done = subprocess.run(
        ["bash", "-c", script, tmp_path / "chatstore"], env=command.environment, capture_output=True, text=True
    )
    first, *lines = done.stdout.splitlines()
    assert first == command("config", "show").out.splitlines()[0]
    assert "lits" in lines[0] and lines[-1] == "2"
    assert done.returncode == -15


@needs_a_fork_server
def test_signals_reach_the_command(chatstore_without_database: Chatstore, tmp_path: Path) -> None:
    server().write_program(tmp_path / "chatstore")
    uri = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=60000"
    process = subprocess.Popen(
        [tmp_path / "chatstore", "sessions", "watch", "--uri", uri],
        env=chatstore_without_database.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    assert process.stderr.readline()  # it waits for the server
    process.terminate()
    assert process.wait(120) == 0
