"""The plan file of `chatstore sessions delete`: --plan writes it, and --apply deletes what it names."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from chatstore_cli.cli.commands.sessions.deletion_results import (
    counted,
    delete_planned,
    documents_of,
    say_what_is_left,
    sum_in_words,
)
from chatstore_cli.cli.file_names import JSON_LINES, check_file_name
from chatstore_cli.cli.message_input import opened_twice
from chatstore_cli.domain.deletions import PlanHeader, add_documents
from chatstore_cli.domain.errors import Conflict
from chatstore_cli.domain.times import rfc3339, utc_now
from chatstore_cli.render.listing import Record
from chatstore_cli.render.rows.deletions import PLAN_FIELDS, plan_row
from chatstore_cli.wiring.deletions import collection_ids, has_other_id, session_deletions
from chatstore_cli.wiring.user_data import user_data

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from chatstore_cli.cli.invocation import Invocation
    from chatstore_cli.domain.deletions import PlannedSession
    from chatstore_cli.domain.user_data import UserData


def write_plan_file(
    invocation: Invocation,
    planned: Iterable[PlannedSession],
    path: str,
    filters: Mapping[str, str],
    rest: UserData | None,
    *,
    keep_usage: bool,
) -> None:
    """Write the plan to a file that does not exist yet, readable only by its owner, and report it."""
    from chatstore_cli.core.sessions.plan_file import write_plan
    from chatstore_cli.wiring.system import new_file

    check_file_name("--plan", path, JSON_LINES, is_chosen=False, say=invocation.say, hint="End the name with .jsonl.")
    stores = invocation.stores

    def header(sessions: int, of_sessions: Mapping[str, int]) -> PlanHeader:
        documents = dict(of_sessions)
        add_documents(documents, documents_of(rest))
        ids = collection_ids(stores, documents)
        created = rfc3339(utc_now()) or ""
        return PlanHeader(stores.target_of(None), created, filters, keep_usage, sessions, documents, ids)

    try:
        with new_file(path, force=False, private=True) as stream, invocation.counting(0, "sessions") as count:
            made = write_plan(stream, header, counted(planned, count))
    except Conflict as error:
        if error.hint is not None and "--force" in error.hint:
            error.hint = "Name another file: a plan is not overwritten."
        raise
    invocation.emit(Record(PLAN_FIELDS, plan_row(made, path)))
    again = f"chatstore sessions delete --apply {shlex.quote(path)} --yes"
    invocation.say(f"Nothing was deleted. To delete these sessions: {again}")


def apply_plan_file(invocation: Invocation, path: str, *, yes: bool) -> None:
    """Delete what the plan in this file names, as far as it has not changed. Raises Conflict for another target."""
    from chatstore_cli.core.sessions.plan_file import PlanFile

    invocation.will_search_to_write()
    with opened_twice(path) as stream:
        plan = PlanFile(stream, path)
        header = plan.header
        _require_target(invocation, header, path)
        invocation.will_write()
        user, tenant, layout, everything = (
            header.filters.get(f"--{name}") for name in ("user", "tenant", "layout", "everything")
        )
        rest = None
        if everything and user is not None:
            rest = user_data(invocation.stores, user, tenant, keep_usage=header.keep_usage)
        planned = sum_in_words(header.sessions, header.documents, keep_usage=header.keep_usage)
        invocation.confirm(f"{path} plans to delete {planned}", yes=yes)
        deletions = session_deletions(invocation.stores, None, keep_usage=header.keep_usage)
        again = f"To continue, run: chatstore sessions delete --apply {shlex.quote(path)} --yes"
        delete_planned(invocation, deletions, plan, header.sessions, again, rest)
        say_what_is_left(invocation, user, tenant, layout, everything=bool(everything))


def _require_target(invocation: Invocation, header: PlanHeader, path: str) -> None:
    stores = invocation.stores
    if (target := stores.target_of(None)) != header.target:
        raise Conflict(
            what=f"{path} is a plan for {header.target}, and this configuration names {target}. Nothing was deleted.",
            hint="Use the configuration with which the plan was made.",
        )
    for name, planned in header.collections.items():
        if has_other_id(stores, name, planned):
            raise Conflict(
                what=f"{name} is not the collection of {path}: it was created again, or it is on another server. "
                "Nothing was deleted.",
                hint="Make a new plan.",
            )
