"""An application whose agent uses tokens and is saved after each turn: run as a process, to be killed.

    python -m tests.support.applications.usage_application URI DATABASE

Reads lines of JSON `{"chat_id", "kill_at": [instant, n, milliseconds]|null}` (see KillAtCommand). For each it prints JSON:
the exit code of the process that used the tokens (a fork of this one) and the numbers of tokens that it saved.
"""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from types import SimpleNamespace
from typing import Any

from pymongo import monitoring

from chatstore_cli import AG2PersistenceManager
from tests.support.kill_at_command import KillAtCommand, run_in_fork

TURNS = (1, 20)
"""Tokens of each turn."""


def main(uri: str, database: str) -> None:
    """Run chats until there is nothing more to read."""
    for line in sys.stdin:
        request = json.loads(line)
        reader, writer = os.pipe()
        code = run_in_fork(partial(run, uri, database, request["chat_id"], request["kill_at"], writer))
        os.close(writer)
        with os.fdopen(reader) as saved:
            print(json.dumps([code, [int(tokens) for tokens in saved]]), flush=True)


def run(uri: str, database: str, chat_id: str, kill_at: list[Any] | None, acknowledged: int) -> None:
    """Use tokens and save them, turn by turn, in this process."""
    killer = KillAtCommand(*(kill_at or ("never", 0)))
    monitoring.register(killer)
    agent = SimpleNamespace(name="Writer", client=SimpleNamespace(actual_usage_summary=None))
    total = 0
    with AG2PersistenceManager(uri, database) as manager:
        for tokens in TURNS:
            total += tokens
            agent.client.actual_usage_summary = {"m": {"prompt_tokens": total, "completion_tokens": 0, "cost": total}}
            manager.save_usage(agent, chat_id=chat_id, enterprise_id="acme")
            os.write(acknowledged, f"{tokens}\n".encode())
    killer.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
