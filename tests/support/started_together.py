"""Processes that begin their work at one moment: each prints `ready`, and waits for a line of its stdin."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.support.paths import ROOT


def run_together(program: str, arguments: Iterable[Iterable[str | Path]], *, timeout: float = 120) -> list[bytes]:
    """Run a Python program once for each of these arguments, all at the same time; returns what each printed."""
    processes = [
        subprocess.Popen([sys.executable, "-c", program, *own], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
        for own in arguments
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    printed = [process.communicate(timeout=timeout)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes)
    return printed
