"""Shell completion: the script for a shell, and the ids of general chats on the command line."""

from __future__ import annotations

import re
from typing import Any

import typer

VARIABLE = "_CHATSTORE_COMPLETE"
"""The environment variable by which a shell requests completions, and a user requests the script for a shell."""
_SECONDS = 0.3
_MOST = 200
_NEEDS_NO_QUOTES = re.compile(r"[\w%.@+-]+", re.ASCII)


def complete(root: Any, instruction: str) -> int:
    """Print what a shell requests, for example `source_bash` or `complete_bash`, and return the exit status."""
    from typer.completion import completion_init, shell_complete  # type: ignore[attr-defined]  # it is not in an __all__

    completion_init()
    return shell_complete(root, {}, "chatstore", VARIABLE, instruction)


def general_chat_ids(context: typer.Context, incomplete: str) -> list[str]:
    """The ids of the newest general chats that begin with this text, of the tenant that --tenant names.

    If the database does not answer within 0.3 seconds, or anything else fails, the list is empty. The shell does not quote
    ids, so ids that would have to be quoted are left out.
    """
    try:
        found = _newest(context)
    except Exception:  # noqa: BLE001 - an error message in the middle of a command line would help nobody
        return []
    return [each for each in found if each.startswith(incomplete) and _NEEDS_NO_QUOTES.fullmatch(each)]


def _newest(context: typer.Context) -> list[str]:
    from chatstore_cli.cli.invocation import Invocation
    from chatstore_cli.core.sessions.listing import list_sessions
    from chatstore_cli.domain.queries import SessionQuery

    invocation = Invocation(context, layout="general")
    invocation.options.quiet, invocation.options.timeout = True, _SECONDS
    stores = invocation.stores
    if invocation.settings.mongo.uri == "embedded" and not stores.embedded.status().running:
        return []  # starting a server takes too long
    query = SessionQuery(layout="general", tenant_id=context.params.get("tenant"))
    with stores.within(_SECONDS):
        page = list_sessions(stores.session_readers("general"), query, cursor=None, limit=_MOST)
    return [session.session_id for session in page.sessions]
