"""Writes results to stdout: in the format that the user chose, and through the user's pager if they are long."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from io import StringIO
from typing import TYPE_CHECKING, TextIO

from chatstore_cli.cli.global_options import GlobalOptions
from chatstore_cli.render.listing import Listing, Record, Terminal
from chatstore_cli.render.output_format import OutputFormat

if TYPE_CHECKING:
    from chatstore_cli.render.formats import Written


class ResultWriter:
    """Writes the results of one run, and notices about hidden columns and further rows."""

    def __init__(
        self,
        options: GlobalOptions,
        parameters: Collection[str],
        *,
        say: Callable[[str], None],
        warn: Callable[[str], None],
    ) -> None:
        """`parameters` are the names of the command's own options. `say` prints a notice, `warn` also with --quiet."""
        self._options = options
        self._parameters = parameters
        self._say = say
        self._warn = warn

    def write(self, result: Listing | Record, terminal: Terminal) -> Written:
        """Write a result to stdout, then a notice about the columns that the terminal has no room for."""
        written = self._write(result, terminal)
        sys.stdout.flush()
        if written.hidden:
            ways = "-o md, --columns, or" if "columns" in self._parameters else "-o md or"
            self._say(f"Hidden columns: {', '.join(written.hidden)}. Use {ways} a wider terminal.")
        if written.escaped_id is not None:
            self._say(
                "Invisible characters in ids are shown as escapes. -o json prints the exact ids. In Bash and Zsh, the first "
                f"such id is: {written.escaped_id}"
            )
        return written

    def _write(self, result: Listing | Record, terminal: Terminal) -> Written:
        from chatstore_cli.render.formats import Written, set_encoding, write

        output = self._options.output or OutputFormat.TABLE
        is_table = terminal.is_terminal and output is OutputFormat.TABLE
        if not is_table or self._options.no_pager or (isinstance(result, Listing) and result.live):
            return write(result, output, sys.stdout, terminal)
        if isinstance(result, Listing) and result.streamed:  # it may be of any length
            with self.paged() as stream:
                return write(result, output, stream, terminal)
            return Written(1)  # the user has closed the pager
        table = StringIO()
        written = write(result, output, table, terminal)
        is_long = table.getvalue().count("\n") >= shutil.get_terminal_size().lines
        with self.paged() if is_long else nullcontext(sys.stdout) as stream:
            set_encoding(stream, terminal)
            stream.write(table.getvalue())
        return written

    def paged(self) -> AbstractContextManager[TextIO]:
        """The stream for long output: the user's pager on a terminal, otherwise stdout. Notices follow after the block."""
        from chatstore_cli.cli.pager import paged

        return paged(enabled=not self._options.no_pager, say=self._say)

    def say_what_is_left(self, listing: Listing) -> None:
        """After a page: how many rows there are, and how to get the rest."""
        from chatstore_cli.cli.more_rows import more_rows_notice, must_not_pass_for_all, shows_next_page

        output = self._options.output
        if self._options.prints_table and listing.of_total is not None and not self._options.quiet:
            self._say(listing.of_total() or "")
        notice = more_rows_notice(listing, has_all="all_" in self._parameters)
        if notice is not None and not shows_next_page(listing, output):
            (self._warn if must_not_pass_for_all(listing, output) else self._say)(notice)


def terminal_of(is_terminal: bool, color: str) -> Terminal:
    """The abilities of a stream. --color, NO_COLOR, FORCE_COLOR and TERM=dumb decide about colour."""
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
