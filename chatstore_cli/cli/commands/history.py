"""`chatstore history`: the newest messages of a session, from its journal and from MongoDB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.filters import LayoutOption, MapOption, RedactOption, SessionArgument
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.readable_sessions import readable_readers
from chatstore_cli.cli.redaction import redactor_if
from chatstore_cli.core.readers import notes_on
from chatstore_cli.core.sessions.history import ChatHistory
from chatstore_cli.domain.errors import ChatstoreError, ExitCode, NotFound
from chatstore_cli.domain.history import JournalTail
from chatstore_cli.domain.quantities import quantity
from chatstore_cli.render.rows.history import history_listing, layout_summary, summary
from chatstore_cli.wiring.history import FLAT_MESSAGES, other_layouts_history, session_history

if TYPE_CHECKING:
    from chatstore_cli.core.redaction import Redactor

app = single_command()


@command(
    app,
    "history",
    examples=["chatstore history shop-01-c66516", "chatstore history shop-01-c66516 --limit 500 -o json"],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE],
)
def history(
    context: typer.Context,
    session_id: SessionArgument,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=500, help="Show at most N of the newest messages.")
    ] = 50,
    layout: LayoutOption = None,
    redact: RedactOption = False,
    mapping: MapOption = None,
) -> None:
    """Show the newest messages of a session of any layout; those of flat messages from its journal and MongoDB.

    Flat messages are those of the messages layout. Each is shown once, in order: from the journal if it has the message,
    otherwise from MongoDB. STORED shows whether MongoDB has it. With -o json, `counts` has the number of messages shown
    from each source, `not_persisted` the number that MongoDB does not have, and `last_persisted_at` the time of the newest
    message that MongoDB has. Messages of other layouts have the source mongo; threads in PostgreSQL have postgres.

    If a journal or the messages layout has the id, other layouts are not searched; --layout names another one. If MongoDB
    is unreachable, the journal's messages are shown and the command exits with status 5. With mongo.enabled: false only
    the journal is read, and the status is 0. If the journal cannot be read, the messages in MongoDB are shown and the
    command exits with status 1.
    """
    invocation = Invocation(context, layout=layout or FLAT_MESSAGES)
    invocation.use_mapping(mapping)
    redactor = redactor_if(redact)
    if layout not in (None, FLAT_MESSAGES):
        _show_other_layout(invocation, session_id, limit, layout, redactor)
        return
    merged, tail = session_history(invocation.stores, session_id, limit)
    if tail.damaged or tail.of_others:
        skipped = f"damaged lines: {tail.damaged:,}, lines of other sessions: {tail.of_others:,}"
        invocation.explain(f"Skipped in the journal: {skipped}.")
    if tail.failure is not None:
        tail.failure.hint = (
            tail.failure.hint or "Fix the cause: messages that are not stored yet are only in the journal."
        )
    if not merged.messages:
        is_readable = layout is None and tail.failure is None and merged.failure is None
        if is_readable and _show_other_layout(invocation, session_id, limit, None, redactor):
            return
        if tail.failure is not None and merged.failure is not None:
            invocation.say(f"MongoDB could not be read either: {merged.failure.message}")
        raise tail.failure or merged.failure or _not_found(merged, tail, session_id)
    answer = _emit(invocation, merged, redactor)
    if merged.covered:
        invocation.say("Messages in the journal that were deleted with the session are left out.")
    if merged.failure is not None:
        what = f"MongoDB could not be read; only the journal's messages are shown: {merged.failure.message}"
        raise type(merged.failure)(what=what, hint=merged.failure.hint)
    invocation.say(summary(answer))
    if redactor is not None:
        invocation.say(redactor.notice())
    if tail.failure is not None:
        what = f"The journal could not be read; only the messages in MongoDB are shown: {tail.failure.message}"
        raise ChatstoreError(what=what, hint=tail.failure.hint)


def _show_other_layout(
    invocation: Invocation, session_id: str, limit: int, layout: str | None, redactor: Redactor | None
) -> bool:
    """Show the messages of a session of another layout. Returns whether there is one."""
    found = other_layouts_history(
        invocation.stores, lambda: readable_readers(invocation, layout), session_id, limit, layout
    )
    if found is None:
        return False
    history, session = found
    answer = _emit(invocation, history, redactor)
    invocation.say(layout_summary(answer, session.layout))
    for note in notes_on(session):
        invocation.say(note)
    if redactor is not None:
        invocation.say(redactor.notice())
    return True


def _emit(invocation: Invocation, history: ChatHistory, redactor: Redactor | None) -> dict[str, Any]:
    """Print the messages, and return the whole answer."""
    answer = (history if redactor is None else history.redacted(redactor.message, redactor.text)).to_dict()
    if redactor is not None:
        answer["redacted"] = redactor.counts
    empty = "The session has no messages."
    invocation.emit(history_listing(answer, empty=empty))
    return answer


def _not_found(merged: ChatHistory, tail: JournalTail, session_id: str) -> ChatstoreError:
    hint = "The whole id is required. To list session ids, run: chatstore sessions list."
    where = " in the cache or in any layout" if merged.asked else " in the cache"
    if merged.deleted:
        where = ""
        lines = quantity(merged.covered, "line") + ("" if tail.complete else " or more")
        hint = "The session was deleted" + (f"; its journal still has {lines}." if merged.covered else ".")
    elif not merged.asked:
        hint = "MongoDB was not read: it is disabled (mongo.enabled: false)."
    elif tail.damaged:
        hint = f"Its journal has only damaged lines ({tail.damaged:,}); see chatstore cache quarantine list."
    return NotFound(kind_of_thing="session", name=session_id, where=where, hint=hint)
