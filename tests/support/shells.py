"""Interactive shells on a terminal, whose completion is used as a person uses it: by typing a tab."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import shutil
import struct
import subprocess
import termios
import time
from collections.abc import Mapping
from pathlib import Path

SECONDS = 120
"""The time after which an answer counts as missing."""
READY = "ready> "
PROGRAM = """#!/bin/sh
# Completes as chatstore does, and otherwise prints each of its arguments in brackets.
if [ -n "$_CHATSTORE_COMPLETE" ]; then exec '{program}' "$@"; fi
printf 'got'; for word in "$@"; do printf '[%s]' "$word"; done; printf '\\nend-of-words\\n'
"""
COMMANDS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
SETUP = {
    "bash": "PS1='ready> '; bind 'set enable-bracketed-paste off'; bind 'set bell-style none'\n. '{script}'\n",
    "zsh": "PS1='ready> '; unsetopt zle_bracketed_paste; autoload -Uz compinit; compinit -u -D\n. '{script}'\n",
    "fish": "function fish_prompt; echo -n 'ready> '; end\nsource '{script}'\n",
}


class Shell:
    """A shell with the completion of a program `chatstore`, which prints the words that the shell gives it."""

    def __init__(self, name: str, folder: Path, program: Path, script: str, environment: Mapping[str, str]) -> None:
        folder.mkdir()
        (folder / "chatstore").write_text(PROGRAM.format(program=program))
        (folder / "chatstore").chmod(0o755)
        (folder / "script").write_text(script)
        self._leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        path = f"{folder}:{os.environ['PATH']}"
        terminal = {"TERM": "xterm", "PATH": path, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
        self._process = subprocess.Popen(
            ["setsid", "--ctty", *COMMANDS[name]],  # Fish needs a terminal of its own
            stdin=follower,
            stdout=follower,
            stderr=follower,
            env={**environment, **terminal},
            cwd=folder,
        )
        os.close(follower)
        self._type(SETUP[name].format(script=folder / "script") + "echo set''up\n")
        self._read_until("setup")

    def completed(self, line: str) -> list[str]:
        """The words that the program gets after this line, a tab and a line feed were typed."""
        self._type(f"chatstore {line}\t")
        self._type("\n")
        shown = self._read_until("end-of-words")
        return shown.rpartition("got")[2].partition("\r")[0].strip("[]").split("][")

    def close(self) -> None:
        """End the shell."""
        self._process.kill()
        self._process.wait(SECONDS)
        os.close(self._leader)

    def _type(self, text: str) -> None:
        os.write(self._leader, text.encode())

    def _read_until(self, text: str) -> str:
        shown = ""
        deadline = time.monotonic() + SECONDS
        while text not in shown:
            readable, _, _ = select.select([self._leader], [], [], max(0.0, deadline - time.monotonic()))
            assert readable, f"no {text!r} in {shown!r}"
            shown += os.read(self._leader, 65536).decode(errors="replace")
        return shown


def is_installed(name: str) -> bool:
    """Whether the machine has this shell."""
    return shutil.which(name) is not None
