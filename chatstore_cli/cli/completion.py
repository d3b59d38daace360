"""Shell completion: the script for a shell, and the ids of general chats and agents on the command line."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from chatstore_cli.wiring.stores import Stores

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
    """The ids of the newest general chats that begin with this text, of the tenant that --tenant names."""
    return _completions(context, incomplete, _newest_chats, layout="general")


def agent_ids(context: typer.Context, incomplete: str) -> list[str]:
    """The same for saved agents: deleted ones for the commands that restore and purge them."""
    return _completions(context, incomplete, _newest_agents)


def _completions(
    context: typer.Context,
    incomplete: str,
    newest: Callable[[Stores, typer.Context], list[str]],
    layout: str = "messages",
) -> list[str]:
    """The newest ids that begin with this text.

    If the database does not answer within 0.3 seconds, or anything else fails, the list is empty. The shell does not quote
    ids, so ids that would have to be quoted are left out.
    """
    from chatstore_cli.cli.invocation import Invocation

    try:
        invocation = Invocation(context, layout=layout)
        invocation.options.quiet, invocation.options.timeout = True, _SECONDS
        stores = invocation.stores
        if invocation.settings.mongo.uri == "embedded" and not stores.embedded.status().running:
            return []  # to start a server takes too long
        with stores.within(_SECONDS):
            found = newest(stores, context)
    except Exception:  # noqa: BLE001 - an error message in the middle of a command line would help nobody
        return []
    return [each for each in found if each.startswith(incomplete) and _NEEDS_NO_QUOTES.fullmatch(each)]


def _newest_chats(stores: Stores, context: typer.Context) -> list[str]:
    from chatstore_cli.core.sessions.listing import list_sessions
    from chatstore_cli.domain.queries import SessionQuery

    query = SessionQuery(layout="general", tenant_id=context.params.get("tenant"))
    page = list_sessions(stores.session_readers("general"), query, cursor=None, limit=_MOST)
    return [session.session_id for session in page.sessions]


def _newest_agents(stores: Stores, context: typer.Context) -> list[str]:
    from chatstore_cli.wiring.agents import agent_registry

    page = agent_registry(stores).list_agents(
        tenant_id=context.params.get("tenant"),
        limit=_MOST,
        deleted=context.info_name in ("restore", "purge"),
        with_config=False,
    )
    return [agent.agent_id for agent in page.agents]
