"""An application of AG2 agents that stores its chats with chatstore: run as a process, to be killed.

    python -m tests.support.applications.agent_application URI DATABASE

Reads lines of JSON `{"chat_id", "kill_after": [events, seconds]|null}` and answers each with how the process ended that
it ran the chat in: a fork of this one, as importing AG2 takes longer than the chat. It is killed so many seconds after so
many events. It begins the chat, or resumes what is stored.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
import traceback
from typing import Any

import autogen

from chatstore_cli import AG2PersistenceManager
from tests.support.ag2_agents import begun, gone_on


def main(uri: str, database: str) -> None:
    """Run chats until there is nothing more to read."""
    for line in sys.stdin:
        asked = json.loads(line)
        told, telling = os.pipe()
        process = os.fork()
        if process == 0:
            run(uri, database, asked["chat_id"], telling)
        os.close(telling)
        if asked["kill_after"] is not None:
            events, seconds = asked["kill_after"]
            while events > 0 and os.read(told, 1):  # nothing more is told where the chat is over
                events -= 1
            time.sleep(seconds)  # a random instant is what the test wants
            os.kill(process, signal.SIGKILL)
        os.close(told)
        _, status = os.waitpid(process, 0)
        print(json.dumps({"killed": os.WIFSIGNALED(status), "code": os.waitstatus_to_exitcode(status)}), flush=True)


def run(uri: str, database: str, chat_id: str, telling: int) -> None:
    """Run one chat to its end, in this process; a byte is written for each event that is stored."""
    code = 1
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        with AG2PersistenceManager(uri, database) as manager:
            for event in events_of(manager, chat_id):
                manager.save_event(event, chat_id=chat_id, enterprise_id="acme", workflow_name="Orders")
                with contextlib.suppress(BrokenPipeError):
                    os.write(telling, b".")
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
