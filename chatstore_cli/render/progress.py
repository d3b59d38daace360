"""A progress bar on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from chatstore_cli.domain.journal import Progress
from chatstore_cli.render.listing import Terminal


@contextmanager
def progress_bar(total_bytes: int, terminal: Terminal) -> Iterator[Callable[[Progress], None]]:
    """Show bytes read of `total_bytes`, messages stored per second, and the remaining time."""
    console = Console(file=sys.stderr, no_color=not terminal.color, legacy_windows=False)
    columns = (
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[rate]:>8,.0f} messages/s"),
        TimeRemainingColumn(),
    )
    began = time.monotonic()
    offsets: dict[str, int] = {}
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total_bytes or None, rate=0.0)

        def show(progress: Progress) -> None:
            offsets[progress.name] = progress.offset
            rate = progress.stored / max(time.monotonic() - began, 0.001)
            bar.update(task, completed=sum(offsets.values()), rate=rate)

        yield show


@contextmanager
def counting_bar(total: int, noun: str, terminal: Terminal) -> Iterator[Callable[[int], None]]:
    """Show how many things of `total` are done; 0: their number is not known."""
    console = Console(file=sys.stderr, no_color=not terminal.color, legacy_windows=False)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn(noun), TimeRemainingColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total or None)
        yield lambda done: bar.update(task, completed=done)
