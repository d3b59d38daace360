"""Processes that are not children of the tests, such as an embedded server."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil

from tests.support.mongod import poll


def has_ended(pid: int) -> bool:
    """Whether it does nothing any more. Its parent may take a second to collect its status."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def kill_processes_of(folder: Path) -> None:
    """Kill every process whose command line names the folder, also a server whose data folder was moved."""
    for process in psutil.process_iter(["cmdline"]):
        if any(str(folder) in word for word in process.info["cmdline"] or []):
            with suppress(psutil.NoSuchProcess):
                process.kill()
            poll(lambda pid=process.pid: has_ended(pid), what="the end of a killed process")
