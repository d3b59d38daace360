"""The values that a shell completes: ids and names from the database, and the words that an option accepts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Any

import typer

from chatstore_cli.domain.errors import ChatstoreError

if TYPE_CHECKING:
    from chatstore_cli.cli.invocation import Invocation
    from chatstore_cli.domain.session import Session

SECONDS = 0.3
"""The time for the database. If it needs longer, nothing is offered."""
NEWEST = 200
"""Ids, tenants and users of this many of the most recently updated sessions of each layout are offered."""
LAYOUTS = ("workflow", "messages", "threads", "general", "calls", "agent_sessions")
_ID = re.compile(r"\[?(SESSION|THREAD|AGENT|USER)_ID\b(?!=).*")
_WORDS = re.compile(r"[a-z0-9_-]+(\|[a-z0-9_-]+)+")
_LISTS = ("NAME,...", "NAME[,NAME]...")
_INSIDE_IDS = frozenset("_%.@+,/:=-")
_NOT_FIRST = frozenset("-=~")


def add_completions(parameters: list[Any]) -> list[Any]:
    """The same parameters, which complete their values. Only a shell that requests completions needs it.

    Typer keeps the function that completes in a private attribute. If a version of Typer does not have it, the values are
    not completed.
    """
    for parameter in parameters:
        parameter.hidden = False  # global options are accepted by every command
        complete = _source_of(parameter)
        if complete is not None and getattr(parameter, "_custom_shell_complete", ...) is None:
            parameter._custom_shell_complete = _matching(complete)
    return parameters


Source = Callable[[typer.Context], Iterable[str]]


def _source_of(parameter: Any) -> Source | None:
    """The function with all values of a parameter: by the name of the option, otherwise by its placeholder."""
    names = [*parameter.opts] if parameter.param_type_name == "option" else []
    known = next((_OPTIONS[name] for name in names if name in _OPTIONS), None)
    placeholder = parameter.metavar or ""
    if _WORDS.fullmatch(placeholder):
        return lambda _: placeholder.split("|")
    if placeholder in _PLACEHOLDERS:
        return _PLACEHOLDERS[placeholder]
    if known is None and (named := _ID.fullmatch(placeholder)):
        return _IDS[named[1]]
    return known


def _matching(values: Source) -> Callable[[typer.Context, Any, str], list[str]]:
    def matching(context: typer.Context, parameter: Any, incomplete: str) -> list[str]:
        # In a list such as session_id,usage.cost the last part is completed.
        before = incomplete[: incomplete.rfind(",") + 1] if _is_list(parameter) else ""
        offered = (before + value for value in dict.fromkeys(values(context)))
        return [value for value in offered if value.startswith(incomplete) and _is_plain(value)]

    return matching


def _is_list(parameter: Any) -> bool:
    """Whether a value of the parameter may be several words with commas."""
    return parameter.metavar in _LISTS or (parameter.multiple and _WORDS.fullmatch(parameter.metavar or "") is not None)


def _is_plain(value: str) -> bool:
    """Whether every shell takes the text as it is. The scripts of the shells do not quote, and Zsh evaluates the answer."""
    return bool(value) and value[0] not in _NOT_FIRST and all(sign.isalnum() or sign in _INSIDE_IDS for sign in value)


# --- values from the database ----------------------------------------------------------------------------------------


def _sessions(context: typer.Context, layout: str | None = None) -> list[Session]:
    """The newest sessions of each layout, of the layout and the tenant on the command line. Layouts that fail are skipped."""
    from chatstore_cli.domain.queries import SessionQuery

    if context.command_path.startswith("chatstore general "):
        layout = "general"
    elif context.command_path.startswith("chatstore threads "):
        layout = "threads"
    invocation = _quiet(context)
    stores, layout = invocation.stores, layout or context.params.get("layout")
    if stores.uses_mongo(layout) and is_stopped(invocation):
        if not stores.uses_postgres(layout):
            return []
        layout = "threads"
    query = SessionQuery(layout=layout, tenant_id=context.params.get("tenant"))
    readers = [reader for reader in stores.session_readers(layout) if not reader.unanswerable(query)]
    found: list[Session] = []

    def read() -> None:
        for reader in readers:
            with suppress(ChatstoreError):
                found.extend(reader.newest_first(query, None, NEWEST))

    return found if answered_in_time(invocation, read) else []


def _agents(context: typer.Context) -> list[str]:
    """The ids of the newest agents: deleted ones for the commands that restore and purge them."""
    from chatstore_cli.wiring.agents import agent_registry

    invocation = _quiet(context)
    if is_stopped(invocation):
        return []
    registry = agent_registry(invocation.stores)
    found: list[str] = []

    def read() -> None:
        deleted = context.info_name in ("restore", "purge")
        tenant = context.params.get("tenant")
        page = registry.list_agents(tenant_id=tenant, limit=NEWEST, deleted=deleted, with_config=False)
        found.extend(agent.agent_id for agent in page.agents)

    return found if answered_in_time(invocation, read) else []


def _quiet(context: typer.Context) -> Invocation:
    from chatstore_cli.cli.invocation import Invocation

    invocation = Invocation(context)
    invocation.options.quiet, invocation.options.timeout = True, SECONDS
    return invocation


def is_stopped(invocation: Invocation) -> bool:
    """Whether the server is the embedded one and does not run. To start it would take too long."""
    return invocation.settings.mongo.uri == "embedded" and not invocation.stores.embedded.status().running


def answered_in_time(invocation: Invocation, read: Callable[[], None], seconds: float | None = None) -> bool:
    """Whether the database answered in this time (default: SECONDS). A thread asks it, because nothing else ends the look-up of a host's name."""
    answered = []
    limit = SECONDS if seconds is None else seconds

    def ask() -> None:
        with suppress(Exception), invocation.stores.within(limit):
            read()
            answered.append(True)

    thread = Thread(target=ask, daemon=True)
    thread.start()
    thread.join(limit)
    return bool(answered)


def _tenants(context: typer.Context) -> Iterable[str]:
    return (session.tenant_id for session in _sessions(context) if session.tenant_id is not None)


def _users(context: typer.Context) -> Iterable[str]:
    return (session.user_id for session in _sessions(context) if session.user_id is not None)


def _workflows(context: typer.Context) -> Iterable[str]:
    return (session.workflow for session in _sessions(context) if session.workflow is not None)


def _session_ids(context: typer.Context) -> Iterable[str]:
    return (session.session_id for session in _sessions(context))


def _thread_ids(context: typer.Context) -> Iterable[str]:
    return (session.session_id for session in _sessions(context, "threads"))


# --- other values ----------------------------------------------------------------------------------------------------


def _layouts(context: typer.Context) -> Iterable[str]:
    return (*LAYOUTS, "agents") if context.command_path.startswith("chatstore indexes ") else LAYOUTS


def _commands(context: typer.Context) -> Iterable[str]:
    """The commands below the words that `chatstore help` already has."""
    at: Any = context.find_root()
    for word in context.params.get("words") or []:
        name, found, _ = at.command.resolve_command(at, [word])
        at = found.context_class(found, info_name=name, parent=at)
    names: list[str] = at.command.list_commands(at)
    return names


def _columns(context: typer.Context) -> Iterable[str]:
    """The names of the columns of a list."""
    from chatstore_cli.render.rows import agents, general, names, sessions, threads

    columns = {
        "chatstore agents list": agents.AGENT_COLUMNS,
        "chatstore general list": general.CHAT_COLUMNS,
        "chatstore sessions list": sessions.SESSION_COLUMNS,
        "chatstore sessions tenants": names.name_columns("tenant"),
        "chatstore sessions users": names.name_columns("user"),
        "chatstore threads list": threads.THREAD_COLUMNS,
    }
    return (column.key for column in columns.get(context.command_path, ()))


def _orders(context: typer.Context) -> Iterable[str]:
    """The fields by which a list can be sorted."""
    from chatstore_cli.core.sessions.sorting import SORT_FIELDS, THREAD_SORT_FIELDS

    return THREAD_SORT_FIELDS if context.command_path == "chatstore threads list" else SORT_FIELDS


def _checks(context: typer.Context) -> Iterable[str]:
    """The names of the checks of `verify`."""
    from chatstore_cli.cli.verify_checks import check_names

    return check_names(_quiet(context))


def _profiles(context: typer.Context) -> Iterable[str]:
    return _quiet(context).load_configuration().profiles


def _zones(_context: typer.Context) -> Iterable[str]:
    from chatstore_cli.config.time_zones import zone_names

    return zone_names()


def _roles(_context: typer.Context) -> Iterable[str]:
    from chatstore_cli.domain.message import ROLES

    return sorted(ROLES)


_IDS: dict[str, Source] = {"SESSION": _session_ids, "THREAD": _thread_ids, "AGENT": _agents, "USER": _users}
_PLACEHOLDERS: dict[str, Source] = {
    "COMMAND": _commands,
    "FIELD": _orders,
    "NAME,...": _columns,
    "NAME[,NAME]...": _checks,
}
_OPTIONS: dict[str, Source] = {
    "--layout": _layouts,
    "--profile": _profiles,
    "--role": _roles,
    "--tenant": _tenants,
    "--timezone": _zones,
    "--user": _users,
    "--workflow": _workflows,
}
