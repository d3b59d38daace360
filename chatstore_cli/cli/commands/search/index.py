"""`chatstore search index`: keeps the words of sessions, so that a search for words reads few sessions."""

from __future__ import annotations

from time import monotonic
from typing import Annotated

import typer

from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.core.search.words_update import update_words
from chatstore_cli.domain.errors import ExitCode
from chatstore_cli.domain.quantities import quantity
from chatstore_cli.domain.search.models import WordsUpdate
from chatstore_cli.render.listing import Listing
from chatstore_cli.render.rows.search import WORDS_COLUMNS, words_row

app = single_command()


@command(
    app,
    "index",
    examples=["chatstore search index", "chatstore search index --layout workflow --all"],
    exits=[ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE],
)
def index(
    context: typer.Context,
    layout: Annotated[
        str | None,
        typer.Option("--layout", metavar="LAYOUT", help="Index only this layout: workflow or general."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Read all sessions again, not only those that changed since the last run.")
    ] = False,
) -> None:
    """Store the words of sessions, for faster searches.

    The sessions are workflow sessions and general chats. Only searches for words read fewer of them.

    The words are in a collection of chatstore's own, and no other collection is changed. Only sessions that changed since
    the last run are read. A search reads the sessions that were updated after it too, so it misses nothing; run this
    command regularly, for example every night. It may be interrupted, repeated, and run twice at the same time.

    Use --all after sessions were changed or restored without a new update time.

    To search for the word `index`, write: chatstore search -- index
    """
    from chatstore_cli.wiring.search import words_indexers

    invocation = Invocation(context, layout=layout)
    invocation.will_write()
    updates: list[WordsUpdate] = []
    for updates in update_words(words_indexers(invocation.stores, layout), monotonic, everything=everything):
        now = updates[-1]
        invocation.explain(f"{now.layout}: read {now.read:,} of {quantity(now.sessions, 'session')}")
    invocation.emit(Listing(WORDS_COLUMNS, [words_row(each) for each in updates], empty="There is nothing to index."))
