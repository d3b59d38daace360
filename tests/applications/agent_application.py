"""An application of AG2 agents that stores its chats with chatstore: run as a process, to be killed.

    python -m tests.applications.agent_application URI DATABASE

Reads lines of JSON `{"chat_id", "kill_after": seconds|null}` and answers each with how the process ended that it ran the
chat in: a fork of this one, as importing AG2 takes longer than the chat. It begins the chat, or resumes what is stored.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from typing import Any

import autogen

from chatstore_cli import AG2PersistenceManager
from tests.agents import begun, gone_on


def main(uri: str, database: str) -> None:
    """Run chats until there is nothing more to read."""
    for line in sys.stdin:
        asked = json.loads(line)
        process = os.fork()
        if process == 0:
            run(uri, database, asked["chat_id"])
        if asked["kill_after"] is not None:
            time.sleep(asked["kill_after"])  # a random instant is what the test wants
            os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        print(json.dumps({"killed": os.WIFSIGNALED(status), "code": os.waitstatus_to_exitcode(status)}), flush=True)


def run(uri: str, database: str, chat_id: str) -> None:
    """Run one chat to its end, in this process."""
    code = 1
    try:
        with AG2PersistenceManager(uri, database) as manager:
            for event in events_of(manager, chat_id):
                manager.save_event(event, chat_id=chat_id, enterprise_id="acme", workflow_name="Orders")
        code = 0
    except BaseException:  # noqa: BLE001 - the fork must not go on as its parent
        traceback.print_exc()
    finally:
        os._exit(code)


def events_of(manager: AG2PersistenceManager, chat_id: str) -> Any:
    """The events of the chat from its beginning, or from where it was left."""
    manager.create_session(chat_id, enterprise_id="acme", workflow_name="Orders")
    resumed = manager.resume_chat(chat_id)
    return gone_on(autogen, resumed.messages) if resumed.messages else begun(autogen)


if __name__ == "__main__":
    main(*sys.argv[1:])
