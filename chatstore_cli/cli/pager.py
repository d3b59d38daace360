"""The user's pager: long output on a terminal is read page by page.

    with paged(enabled=True) as stream:
        stream.write(text)

If stdout is not a terminal, `stream` is stdout. What is written must be sanitized, as for a terminal.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from typing import TextIO

DEFAULT_PAGER = "less -FRX"
"""It ends if everything fits on one screen (F), shows colours (R), and leaves the text on the screen (X)."""


def pager_command() -> list[str]:
    """The words of the user's pager: CHATSTORE_PAGER, else PAGER, else less. None for `cat`, an empty one or TERM=dumb."""
    chosen = os.environ.get("CHATSTORE_PAGER", os.environ.get("PAGER", DEFAULT_PAGER))
    try:
        words = shlex.split(chosen)
    except ValueError:  # an open quote
        words = [chosen]
    return [] if words == ["cat"] or os.environ.get("TERM") == "dumb" else words


@contextmanager
def paged(*, enabled: bool, say: Callable[[str], None] = lambda _: None) -> Iterator[TextIO]:
    """The stream to write to: the pager if it is `enabled` and stdout is a terminal, otherwise stdout.

    The block ends quietly at the next write after the pager was closed. It waits until the user closes the pager, also
    after an error or Ctrl-C, because the pager owns the terminal until then. `say` prints a notice about a missing pager.
    """
    words = pager_command() if enabled and sys.stdout.isatty() else []
    if words and shutil.which(words[0]) is None:
        if words != shlex.split(DEFAULT_PAGER):
            say(f"The pager {words[0]!r} was not found, so the output is not paged.")
        words = []
    if not words:
        yield sys.stdout
        return
    sys.stdout.flush()
    # Without options, less does not show colours.
    process = subprocess.Popen(words, stdin=subprocess.PIPE, env={"LESS": "FRX", **os.environ})
    assert process.stdin is not None
    # Lines arrive as they are written: the first page must not wait for the end of a long search.
    stream = TextIOWrapper(process.stdin, sys.stdout.encoding, "backslashreplace", line_buffering=True)
    try:
        with suppress(BrokenPipeError):  # the user has closed the pager
            yield stream
    finally:
        with suppress(BrokenPipeError):
            stream.close()
        _wait(process)


def _wait(process: subprocess.Popen[bytes]) -> None:
    """Wait for the end of the pager. Ctrl-C is meant for the pager then, which does not end at it."""
    while True:
        with suppress(KeyboardInterrupt):
            process.wait()
            return
