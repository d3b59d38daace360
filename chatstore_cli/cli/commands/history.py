"""`chatstore history`: the newest messages of a session, from the cache and from MongoDB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.options import command, single_command
from chatstore_cli.domain.errors import ChatstoreError, ExitCode, NotFound

if TYPE_CHECKING:
    from chatstore_cli.core.sessions.history import ChatHistory
    from chatstore_cli.domain.history import JournalTail

app = single_command()
_GIVE_ACCESS = "Give access to it: what is not stored yet is only there."


@command(
    app,
    "history",
    examples=["chatstore history shop-01-c66516", "chatstore history shop-01-c66516 --limit 500 -o json"],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE],
)
def history(
    context: typer.Context,
    session_id: Annotated[str, typer.Argument(metavar="SESSION_ID", help="The exact id of the session.")],
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, max=500, help="Show at most N of the newest messages.")
    ] = 50,
) -> None:
    """Show the newest messages of a session of flat messages: the cache's journal first, then MongoDB.

    Each message is shown once, in order: from the cache where its journal has it, and whether MongoDB has it too. With
    -o json, `counts` says how many are shown of each source, `not_persisted` how many MongoDB does not have, and
    `last_persisted_at` the time of the newest message that it has. Where MongoDB cannot be reached, the cache's copy is
    shown, and this ends with 5; with mongo.enabled: false it is all that was asked for. Where the journal cannot be read,
    MongoDB's copy is shown, and this ends with 1.
    """
    from chatstore_cli.render.rows.history import history_listing, summary
    from chatstore_cli.wiring.history import session_history

    invocation = Invocation(context)
    found, tail = session_history(invocation.stores, session_id, limit)
    if tail.damaged or tail.of_others:
        passed_over = f"damaged lines: {tail.damaged:,}, lines of other sessions: {tail.of_others:,}"
        invocation.explain(f"Passed over in the journal: {passed_over}.")
    if not found.messages:
        if tail.failure is not None and found.failure is not None:
            invocation.say(f"MongoDB could not be asked either: {found.failure.message}")
        raise _with_hint(tail.failure) or found.failure or _not_found(found, tail, session_id)
    shown = found.to_dict()
    invocation.emit(history_listing(shown))
    if found.deleted and tail.messages:
        invocation.say("The session was deleted on purpose: what its journal still holds is left out.")
    if found.failure is not None:
        raise _cache_alone(found.failure)
    invocation.say(summary(shown))
    if tail.failure is not None:
        what = f"The journal could not be read, so this is MongoDB's copy alone: {tail.failure.message}"
        raise ChatstoreError(what=what, hint=tail.failure.hint or _GIVE_ACCESS)


def _not_found(found: ChatHistory, tail: JournalTail, session_id: str) -> ChatstoreError:
    hint = "Ids are exact. `chatstore sessions show` finds sessions of every layout."
    where = " in the cache or in MongoDB" if found.asked else " in the cache"
    if found.deleted:
        where = ""
        lines = f"{tail.messages:,} lines" + ("" if tail.complete else " or more")
        hint = "It was deleted on purpose" + (f"; its journal still holds {lines} of it." if tail.messages else ".")
    elif not found.asked:
        hint = "MongoDB was not asked: it is switched off (mongo.enabled: false)."
    elif tail.damaged:
        hint = f"Its journal holds {tail.damaged:,} damaged lines and no other; see chatstore cache quarantine list."
    return NotFound(kind_of_thing="session", name=session_id, where=where, hint=hint)


def _with_hint(failure: ChatstoreError | None) -> ChatstoreError | None:
    if failure is not None:
        failure.hint = failure.hint or _GIVE_ACCESS
    return failure


def _cache_alone(failure: ChatstoreError) -> ChatstoreError:
    """The error of the same kind, saying what it means for what was shown."""
    what = f"MongoDB could not be asked, so this is the cache's copy alone: {failure.message}"
    return type(failure)(what=what, hint=failure.hint)
