"""Runs the command on a terminal of a given size."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import Chatstore


def on_a_terminal(
    chatstore: Chatstore,
    *arguments: str,
    width: int = 80,
    height: int = 40,
    env: Mapping[str, str | None] | None = None,
) -> tuple[str, str]:
    """What a command that succeeds prints on a terminal, and what on stderr, which is a pipe."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
    process = chatstore.popen(*arguments, stdout=follower, env={"TERM": "xterm-256color", **(env or {})})
    os.close(follower)
    sent = b""
    while True:
        try:
            chunk = os.read(leader, 65536)
        except OSError:  # Linux reports the closed end of a terminal as an error
            break
        if not chunk:
            break
        sent += chunk
    os.close(leader)
    _, notices = process.communicate(timeout=300)
    assert process.returncode == 0, notices
    return sent.decode(), notices.decode()
