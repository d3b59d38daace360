"""When threads run out, and when one ends with an error, a user reads one line and no traceback."""

from __future__ import annotations

import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest

from chatstore_cli.cli.main import ThreadErrors, run
from tests.conftest import Chatstore

CODE = """
import _thread, sys, threading
allowed = int(sys.argv.pop(1))
start = threading._start_new_thread
def start_some(*arguments):
    global allowed
    allowed -= 1
    if allowed < 0:
        raise RuntimeError("can't start new thread")
    return start(*arguments)
threading._start_new_thread = start_some
from chatstore_cli.__main__ import main
main()
"""


@pytest.fixture(autouse=True)
def hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore what the command sets for its process."""
    monkeypatch.setattr("threading.excepthook", threading.excepthook)
    monkeypatch.setattr("warnings.showwarning", warnings.showwarning)


@pytest.mark.parametrize("allowed", [0, 3, 6])
def test_a_process_that_may_start_no_further_thread_says_so(chatstore: Chatstore, allowed: int) -> None:
    (chatstore.folder / "a.jsonl").write_text("")
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(allowed), "flush-cache", "."],
        capture_output=True,
        text=True,
        cwd=chatstore.folder,
        env=chatstore.environment,
        timeout=300,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == 1 or allowed
    if done.returncode:
        assert "no further thread. End other processes" in done.stderr


def _end_a_thread_with(error: BaseException) -> None:
    def fail() -> None:
        raise error

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()


def test_an_error_in_a_thread_is_one_line_with_the_path_of_its_log(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    threading.excepthook = ThreadErrors(["sessions", "list"]).report
    _end_a_thread_with(KeyError("first"))
    _end_a_thread_with(KeyError("the same kind again"))
    _end_a_thread_with(SystemExit(1))
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("chatstore: Unexpected KeyError. Report it with the file ")
    assert "KeyError: 'first'" in Path(line.rpartition(" ")[2]).read_text()


def test_the_command_installs_the_hook(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "show"]) == 0
    capsys.readouterr()
    _end_a_thread_with(RuntimeError("can't start new thread"))
    assert capsys.readouterr().err.startswith("chatstore: The system allows this process no further thread.")
