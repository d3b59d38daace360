"""The examples run as their docstrings say, in memory and on a real server."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from tests.support.paths import ROOT

EXAMPLES = ROOT / "examples"
DEMO, WORKFLOW = EXAMPLES / "persistent_conversation_demo.py", EXAMPLES / "workflow_with_persistence.py"
HOOKS = EXAMPLES / "server_hooks.py"
"""Run by the blocks of docs/server.md: tests/test_readme.py."""

DEMO_OUTPUT = """\
First session: 2 messages in 'Travel planning: Tokyo'
User: Plan a trip to Tokyo.
Assistant: When do you want to travel?
User: In May, for a week.
Travel planning: Kyoto: 4 messages
Travel planning: Tokyo: 3 messages
Somebody else: Thread ... not found
"""
LETTER = "Dear visitor! The museum of clocks opens at ten. It is closed on Mondays."
WORKFLOW_OUTPUT = f"""\
turn 0, researcher: The museum of clocks opens at ten.
turn 1, writer: Dear visitor! The museum of clocks opens at ten.
Interrupted. To continue: THREAD
turn 2, researcher: It is closed on Mondays.
turn 3, writer: {LETTER}
Done: {LETTER}
"""


@pytest.fixture(params=["memory", pytest.param("mongodb", marks=pytest.mark.real)])
def stored(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The database in which the example stores; None for memory."""
    monkeypatch.chdir(tmp_path)
    if request.param == "memory":
        return None
    database: Database[dict[str, Any]] = request.getfixturevalue("database")
    monkeypatch.setenv("DB_BACKEND", "mongodb")
    monkeypatch.setenv("CHATSTORE_URI", request.getfixturevalue("mongo_uri"))
    monkeypatch.setenv("CHATSTORE_DATABASE", database.name)
    return database


def run(example: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    """Run an example as a program."""
    monkeypatch.setattr(sys, "argv", [str(example), *arguments])
    runpy.run_path(str(example), run_name="__main__")


def test_the_demo(stored: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run(DEMO, monkeypatch)
    printed = capsys.readouterr().out
    assert sorted(printed.splitlines()) == sorted(DEMO_OUTPUT.splitlines())  # threads of one millisecond have any order
    if stored is not None:
        assert {thread["name"] for thread in stored.chat_threads.find()} == {
            "Travel planning: Tokyo",
            "Travel planning: Kyoto",
        }
        assert stored.chat_thread_messages.count_documents({}) == 7


def test_the_workflow(stored: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run(WORKFLOW, monkeypatch)
    printed = capsys.readouterr().out
    assert re.sub(r"[0-9a-f-]{36}", "THREAD", printed) == WORKFLOW_OUTPUT
    if stored is None:
        return
    [thread] = stored.chat_threads.find()
    stored.chat_thread_messages.delete_many({"content.metadata.turn": {"$gte": 3}})  # as if it had been killed there
    run(WORKFLOW, monkeypatch, thread["_id"])  # a new process knows the id alone
    assert capsys.readouterr().out.splitlines() == [f"turn 3, writer: {LETTER}", f"Done: {LETTER}"]
    turns = [
        message["content"]["metadata"]["turn"] for message in stored.chat_thread_messages.find({"sequence": {"$gt": 1}})
    ]
    assert sorted(turns) == [0, 1, 2, 3]


def test_every_example_is_tested_and_named_on_a_page() -> None:
    assert sorted(EXAMPLES.glob("*.py")) == [DEMO, HOOKS, WORKFLOW]
    assert "(../examples/server_hooks.py)" in (ROOT / "docs" / "server.md").read_text(encoding="utf-8")
    for page in ("README.md", "docs/library.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        assert [example.name for example in (DEMO, WORKFLOW) if f"examples/{example.name}" not in text] == [], page
