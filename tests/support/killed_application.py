"""An application in a process of its own, whose chats are killed at an instant that the test chooses."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.paths import ROOT

KILLED = -9
"""The exit code of a chat that was killed."""

Instant = tuple[str, int, float]
"""Before, during or after a command (`kill_at_command.INSTANTS`), its number, and milliseconds after that."""


@contextmanager
def running_application(
    name: str, mongo_uri: str, database: Any, chatstore: Any
) -> Iterator[Callable[[str, Instant | None], Any]]:
    """Start an application of tests/support/applications. The function runs one chat, and returns what it reports."""
    application = subprocess.Popen(
        [sys.executable, "-m", f"tests.support.applications.{name}", mongo_uri, database.name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=chatstore.environment,
        text=True,
    )
    to_application, reports, errors = application.stdin, application.stdout, application.stderr
    assert to_application is not None
    assert reports is not None
    assert errors is not None

    def run(chat_id: str, kill_at: Instant | None) -> Any:
        to_application.write(json.dumps({"chat_id": chat_id, "kill_at": kill_at}) + "\n")
        to_application.flush()
        return json.loads(reports.readline())

    try:
        yield run
    finally:
        to_application.close()
        application.wait(120)
        reports.close()
        output = errors.read()
        errors.close()
        assert "Traceback" not in output, output
