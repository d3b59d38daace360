"""The options and arguments by which a command names several sessions."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Annotated

import typer

from chatstore_cli.cli.message_input import opened
from chatstore_cli.core.sessions.named import LONGEST_LINE, MOST_NAMED, SessionName, names_in
from chatstore_cli.domain.errors import WrongUse

StdinOption = Annotated[
    bool,
    typer.Option(
        "--stdin", help="Read the sessions from stdin: an id a line, or rows of `chatstore sessions list -o jsonl`."
    ),
]


def names_from_stdin() -> Iterator[SessionName]:
    """The sessions that stdin names, as they are read. Raises WrongUse for a terminal, and for a line without an id."""
    if sys.stdin is not None and sys.stdin.isatty():
        raise WrongUse(what="--stdin reads ids from stdin, which is a terminal.", hint="Pipe ids into the command.")
    with opened("-") as stream:
        yield from names_in(iter(lambda: stream.readline(LONGEST_LINE + 1), b""))


def few_names(names: Iterable[SessionName], hint: str) -> list[SessionName]:
    """Each of the names once; none for an empty stdin, as if filters match nothing. Raises WrongUse for more than MOST_NAMED."""
    some = list(dict.fromkeys(islice(names, MOST_NAMED + 1)))
    if len(some) > MOST_NAMED:
        raise WrongUse(what=f"More than {MOST_NAMED:,} sessions are named.", hint=hint)
    return some
