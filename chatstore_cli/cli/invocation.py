"""One run of a command: its settings, its stores, and the two ways out, stdout for data and stderr for talk."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import cached_property
from typing import TYPE_CHECKING

import typer

from chatstore_cli.cli.options import GlobalOptions, global_options
from chatstore_cli.domain.errors import NeedsConfirmation, NotAllowed
from chatstore_cli.render.listing import Listing, Record, Terminal
from chatstore_cli.render.output_format import OutputFormat
from chatstore_cli.render.safe import many_lines

if TYPE_CHECKING:
    from chatstore_cli.config.settings import Configuration, Settings
    from chatstore_cli.domain.journal import Progress
    from chatstore_cli.wiring.stores import Stores


class Invocation:
    """What every command needs. Made from the Typer context; nothing is loaded before it is asked for."""

    def __init__(self, context: typer.Context) -> None:
        self.options: GlobalOptions = global_options(context)

    def load_configuration(self) -> Configuration:
        """The settings with what is known about them, wrong or not. Raises BadConfig for a file nobody can read."""
        from chatstore_cli.config.settings import load_configuration

        return load_configuration(self.options.config, uri=self.options.uri, database=self.options.database)

    @cached_property
    def configuration(self) -> Configuration:
        """The settings in force, with where each comes from. Raises BadConfig."""
        return self.load_configuration().valid()

    @property
    def settings(self) -> Settings:
        """The settings in force. Raises BadConfig."""
        return self.configuration.settings

    @cached_property
    def stores(self) -> Stores:
        """The stores that the settings name; connected when first used."""
        from chatstore_cli.wiring.stores import Stores

        return Stores(self.settings, say=self.say)

    @property
    def output(self) -> OutputFormat:
        """The format of stdout."""
        return self.options.output or OutputFormat.TABLE

    @property
    def is_row_stream(self) -> bool:
        """Whether each row stands alone on stdout, so that a service can write rows while it runs."""
        return self.options.output in (OutputFormat.JSONL, OutputFormat.YAML)

    def emit(self, shown: Listing | Record) -> None:
        """Write a result to stdout, and on stderr what belongs to it but is no data."""
        from chatstore_cli.render.formats import write

        rows = write(shown, self.output, sys.stdout, terminal_of(sys.stdout.isatty(), self.options.color))
        sys.stdout.flush()
        if isinstance(shown, Listing):
            if not rows:
                self.say(shown.empty)
            if shown.next_cursor and self.options.output not in (OutputFormat.JSON, OutputFormat.YAML):
                self.say(f"More: --cursor {shown.next_cursor}")

    def say(self, text: str) -> None:
        """One line of talk on stderr, unless --quiet."""
        if not self.options.quiet:
            with suppress(OSError):  # a log that is full, or whose reader has died, is no reason to do nothing
                sys.stderr.write(many_lines(text) + "\n")
                sys.stderr.flush()

    def explain(self, text: str) -> None:
        """One line of talk on stderr with --verbose only."""
        if self.options.verbose:
            self.say(text)

    def will_write(self) -> None:
        """Name the target on stderr before anything is written; refuse with --read-only."""
        if self.options.read_only:
            raise NotAllowed(what="This command writes, and --read-only is set.", hint="Leave --read-only out.")
        self.say(f"Target: {self.stores.target}")

    def progress(self, total_bytes: int) -> AbstractContextManager[Callable[[Progress], None]]:
        """A progress bar over journals on stderr, where that is a terminal and not --quiet; else nothing is shown."""
        if self.options.quiet or not sys.stderr.isatty():
            return nullcontext(lambda _: None)
        from chatstore_cli.render.progress import progress_bar

        return progress_bar(total_bytes, terminal_of(True, self.options.color))

    def confirm(self, plan: str, *, yes: bool = False, flag: str = "--yes") -> None:
        """Go on only with the flag, or with a yes typed on a terminal. Raises NeedsConfirmation."""
        if yes:
            return
        if sys.stdin.isatty() and not self.options.no_input:
            sys.stderr.write(many_lines(plan) + "\nGo on? [y/N] ")
            sys.stderr.flush()
            if sys.stdin.readline().strip().lower() in {"y", "yes"}:
                return
            raise NeedsConfirmation(what="Not confirmed.")
        raise NeedsConfirmation(what=plan, hint=f"To go on, run it again with {flag}.")


def terminal_of(is_terminal: bool, color: str) -> Terminal:
    """What a stream can show: NO_COLOR, FORCE_COLOR, TERM=dumb and --color decide about colour."""
    environment = os.environ
    if color == "always":
        colored = True
    elif color == "never" or environment.get("NO_COLOR"):
        colored = False
    elif environment.get("FORCE_COLOR"):
        colored = True
    else:
        colored = is_terminal and environment.get("TERM", "") != "dumb"
    width = shutil.get_terminal_size((80, 24)).columns if is_terminal else 80
    return Terminal(is_terminal=is_terminal, width=width, color=colored)
