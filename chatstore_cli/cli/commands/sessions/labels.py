"""`chatstore sessions rename|tag|untag`: titles and tags of sessions of every layout."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any

import typer

from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.commands.sessions.named_sessions import StdinOption, few_names, names_from_stdin
from chatstore_cli.cli.filters import LayoutOption, SessionArgument
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.core.labels import changing
from chatstore_cli.core.labels.checks import checked_tags, checked_title
from chatstore_cli.core.readers import find_session
from chatstore_cli.core.sessions.named import SessionName, find_named
from chatstore_cli.domain.errors import ExitCode, Interrupted, WrongUse
from chatstore_cli.domain.labels import Labels, LabelStore, SessionRef
from chatstore_cli.domain.quantities import quantity
from chatstore_cli.render.listing import Listing
from chatstore_cli.render.rows.labels import LABEL_COLUMNS, label_row
from chatstore_cli.wiring.labels import create_label_index, label_store, rename_thread

app = single_command()

_EXITS = [ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT]
_Change = Callable[[LabelStore, Sequence[changing.Found], Sequence[str]], Iterator[tuple[SessionRef, Labels]]]

WordsArgument = Annotated[
    list[str], typer.Argument(metavar="SESSION_ID TAG...", help="The exact id of the session, and the tags.")
]


@command(
    app,
    "rename",
    examples=["chatstore sessions rename 4f1c9a 'Refund for order 1204'", "chatstore sessions rename 4f1c9a ''"],
    exits=_EXITS,
)
def rename(
    context: typer.Context,
    session_id: SessionArgument,
    title: Annotated[
        str, typer.Argument(metavar="TITLE", help="The new title, at most 200 characters; empty: remove it.")
    ],
    layout: LayoutOption = None,
) -> None:
    """Give a session another title.

    A thread gets this name. For the other layouts, the title is stored in a collection of chatstore's own and is shown
    instead of the title that the layout has, if any. The application's documents are not changed.
    """
    title = checked_title(title)
    invocation = Invocation(context, layout=layout)
    invocation.will_search_to_write()
    stores = invocation.stores
    reader, session = find_session(stores.session_readers(layout), session_id)
    invocation.will_write(layout=session.layout)
    ref = SessionRef(session.layout, session.session_id)
    if rename_thread(stores, ref, title):
        labels = Labels(title)
    else:
        store = label_store(stores)
        if title:
            create_label_index(stores, store)
        labels = changing.set_title(store, reader, session, title)
    invocation.emit(Listing(LABEL_COLUMNS, [label_row(ref, labels)]))


@command(
    app,
    "tag",
    examples=[
        "chatstore sessions tag 4f1c9a refund escalated",
        "chatstore sessions list --tenant acme -o jsonl | chatstore sessions tag --stdin reviewed",
    ],
    exits=_EXITS,
)
def tag(context: typer.Context, words: WordsArgument, stdin: StdinOption = False, layout: LayoutOption = None) -> None:
    """Add tags to a session, or to sessions of stdin.

    Tags keep their case, and spaces around them are removed. A session has at most 50 tags of at most 64 characters. If
    one of the sessions does not exist, nothing is changed. Tags are stored in a collection of chatstore's own, so the
    sessions of every layout can have them. `sessions list --tag` and `sessions delete --tag` select sessions by a tag.
    """
    _change(context, words, changing.add_tags, stdin=stdin, layout=layout, adds=True)


@command(
    app,
    "untag",
    examples=[
        "chatstore sessions untag 4f1c9a escalated",
        "chatstore sessions list --tag reviewed -o jsonl | chatstore sessions untag --stdin reviewed",
    ],
    exits=_EXITS,
)
def untag(
    context: typer.Context, words: WordsArgument, stdin: StdinOption = False, layout: LayoutOption = None
) -> None:
    """Remove tags from a session, or from sessions of stdin.

    If one of the sessions does not exist, nothing is changed. A tag that a session does not have is ignored.
    """
    _change(context, words, changing.remove_tags, stdin=stdin, layout=layout)


def _change(
    context: typer.Context, words: list[str], change: _Change, *, stdin: bool, layout: str | None, adds: bool = False
) -> None:
    if not stdin and len(words) < 2:
        raise WrongUse(what="No tag is given.", hint="Give the id of a session and its tags.")
    tags = checked_tags(words if stdin else words[1:])
    invocation = Invocation(context, layout=layout)
    invocation.will_search_to_write()
    names = few_names(names_from_stdin() if stdin else [SessionName(words[0])], "Change them in several calls.")
    stores = invocation.stores
    labels, readers = label_store(stores), stores.session_readers(layout)
    found = list(find_named(readers, names)) if stdin else [find_session(readers, words[0])]
    invocation.layout = "messages"  # tags are in MongoDB, whatever the layout is
    invocation.will_write()
    if adds and found:
        create_label_index(stores, labels)
    rows: list[dict[str, Any]] = []
    try:
        rows.extend(label_row(*changed) for changed in change(labels, found, tags))
    except KeyboardInterrupt:
        raise Interrupted(
            what=f"Changed: {quantity(len(rows), 'session')}. Run the command again to continue."
        ) from None
    empty = "stdin names no session, so nothing was changed."
    invocation.emit(Listing(LABEL_COLUMNS, rows, empty=empty))
