"""An application of AG2 agents that stores its chats with chatstore: run as a process, to be killed.

    python -m tests.support.applications.agent_application URI DATABASE

Reads lines of JSON `{"chat_id", "kill_at": [instant, n, milliseconds]|null}` (see KillAtCommand), and prints for each the
exit code of the process that the chat was run in: a fork of this one, because importing AG2 takes longer than the chat.
The chat begins, or what is stored of it is resumed.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from typing import Any

import autogen
from pymongo import monitoring

from chatstore_cli import AG2PersistenceManager
from tests.support.ag2_agents import resume_conversation, start_conversation
from tests.support.kill_at_command import KillAtCommand, run_in_fork


def main(uri: str, database: str) -> None:
    """Run chats until there is nothing more to read."""
    for line in sys.stdin:
        request = json.loads(line)
        print(run_in_fork(partial(run, uri, database, request["chat_id"], request["kill_at"])), flush=True)


def run(uri: str, database: str, chat_id: str, kill_at: list[Any] | None) -> None:
    """Run one chat to its end, in this process."""
    killer = KillAtCommand(*(kill_at or ("never", 0)))
    monitoring.register(killer)
    with AG2PersistenceManager(uri, database) as manager:
        for event in events_of(manager, chat_id):
            manager.save_event(event, chat_id=chat_id, enterprise_id="acme", workflow_name="Orders")
    killer.wait()


def events_of(manager: AG2PersistenceManager, chat_id: str) -> Any:
    """The events of the chat from its beginning, or from where it was left."""
    manager.create_session(chat_id, enterprise_id="acme", workflow_name="Orders")
    resumed = manager.resume_chat(chat_id, enterprise_id="acme")
    return resume_conversation(autogen, resumed.messages) if resumed.messages else start_conversation(autogen)


if __name__ == "__main__":
    main(*sys.argv[1:])
