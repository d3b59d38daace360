"""`chatstore sessions delete`: delete one session, or many by ids, filters or a plan file."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.commands.sessions import deletion_of_many as many
from chatstore_cli.cli.commands.sessions.deletion_of_many import Way
from chatstore_cli.cli.commands.sessions.deletion_of_one import delete_one
from chatstore_cli.cli.commands.sessions.deletion_plan_file import apply_plan_file
from chatstore_cli.cli.commands.sessions.named_sessions import StdinOption, names_from_stdin
from chatstore_cli.cli.dry_runs import DryRunOption
from chatstore_cli.cli.filters import (
    LayoutOption,
    PausedOption,
    SinceOption,
    StatusOption,
    TagOption,
    TenantOption,
    UntilOption,
    UserOption,
    WorkflowOption,
    session_query,
)
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.list_options import (
    MinCostOption,
    MinMessagesOption,
    MinTokensOption,
    ModelOption,
    TitleOption,
    with_unindexed,
)
from chatstore_cli.core.sessions.named import SessionName
from chatstore_cli.domain.errors import ExitCode, WrongUse

app = single_command()


@command(
    app,
    "delete",
    examples=[
        "chatstore sessions delete 4f1c9a",
        "chatstore sessions delete --tenant acme --until 90d --dry-run",
        "chatstore sessions delete --tenant acme --until 90d --plan old.jsonl",
        "chatstore sessions delete --apply old.jsonl --yes",
        "chatstore sessions delete --user ana --everything --dry-run",
        "chatstore sessions list --tag junk -o jsonl | chatstore sessions delete --stdin --yes",
    ],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT, ExitCode.INTERRUPTED],
    meanings={ExitCode.CONFLICT: "conflict: a session has changed since the plan and was left"},
)
def delete(
    context: typer.Context,
    session_ids: Annotated[
        list[str] | None, typer.Argument(metavar="SESSION_ID", help="The exact ids of the sessions.")
    ] = None,
    layout: LayoutOption = None,
    stdin: StdinOption = False,
    tenant: TenantOption = None,
    user: UserOption = None,
    workflow: WorkflowOption = None,
    status: StatusOption = None,
    paused: PausedOption = False,
    tag: TagOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    title: TitleOption = None,
    model: ModelOption = None,
    min_messages: MinMessagesOption = None,
    min_tokens: MinTokensOption = None,
    min_cost: MinCostOption = None,
    plan: Annotated[
        str | None,
        typer.Option("--plan", metavar="FILE", help="Write the sessions with their counts to FILE; delete nothing."),
    ] = None,
    apply: Annotated[
        str | None, typer.Option("--apply", metavar="FILE", help="Delete what the plan in FILE names, if unchanged.")
    ] = None,
    keep_usage: Annotated[
        bool,
        typer.Option("--keep-usage", help="Keep the usage of the sessions in the ledger, so that reports count it."),
    ] = False,
    everything: Annotated[
        bool,
        typer.Option(
            "--everything", help="With --user, also delete the user's other data, such as client sessions and states."
        ),
    ] = False,
    dry_run: DryRunOption = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")] = False,
) -> None:
    """Delete sessions with their messages, usage and labels.

    Name sessions by id, on stdin, or by filters. The command shows what would be deleted and asks for confirmation (--yes
    skips the question). --dry-run lists the sessions with the result `planned`, and deletes nothing. --title, --model and
    the minimum numbers read at most 10,000 sessions. If one of the ids does not exist, nothing is deleted. If no session
    has the tenant or the user, the command exits with status 3 and suggests similar ones. More than 10,000 sessions
    require a plan file.

    With --user, --everything deletes the user's other data after the sessions: client sessions, states of Python agents,
    counters of general chats, and usage of sessions that no longer exist. States have no tenant: with --tenant they remain,
    and a notice names them. Saved agents and the sessions of layouts that chatstore only reads remain too.

    --plan writes a line for each session, with its counts. --apply deletes exactly these sessions. A session that has
    changed since then (new messages, other counts or tags) is left, and the command exits with status 8 and names it.
    After an interruption, apply the plan again: a session that is gone is reported as already deleted.

    The deletion is stored, so that a later flush of an old journal does not restore what was deleted. Journals keep their
    text until `chatstore cache prune --deleted`, and a notice counts them. A flat message that is recorded after the
    deletion is stored, and the session exists again. The id of a workflow session stays deleted. If only usage or labels of
    a session are left, they are deleted. --keep-usage rejects a thread, because its usage is stored in its messages.
    """
    invocation = Invocation(context, layout=layout)
    filters = {
        "--tenant": tenant, "--user": user, "--workflow": workflow, "--status": status, "--paused": paused or None,
        "--tag": tag, "--since": since, "--until": until, "--title": title, "--model": model,
        "--min-messages": min_messages, "--min-tokens": min_tokens, "--min-cost": min_cost,
    }  # fmt: skip
    given = {name: str(value) for name, value in filters.items() if value is not None}
    ids = session_ids or []
    if apply is not None:
        if given or ids or plan or layout or stdin or keep_usage or dry_run or everything:
            hint = "Leave out the other options, except --yes."
            raise WrongUse(what="--apply deletes only what the plan names.", hint=hint)
        apply_plan_file(invocation, apply, yes=yes)
    elif plan is not None and dry_run:
        raise WrongUse(
            what="--plan and --dry-run exclude each other.", hint="Both list the sessions and delete nothing."
        )
    elif everything and (ids or stdin or layout or user is None or given.keys() - {"--user", "--tenant"}):
        hint = "Give --user, and --tenant if two tenants have a user with this id."
        raise WrongUse(what="--everything deletes all data of one user.", hint=hint)
    elif sum((bool(ids), stdin, bool(given))) > 1:
        raise WrongUse(what="Ids, --stdin and filters exclude each other.", hint="Name the sessions in one way.")
    elif len(ids) == 1 and plan is None:
        delete_one(invocation, ids[0], Way(layout, plan, keep_usage, yes, dry_run))
    elif ids or stdin:
        names = names_from_stdin() if stdin else map(SessionName, ids)
        many.delete_named(invocation, names, Way(layout, plan, keep_usage, yes, dry_run))
    elif given or layout is not None:
        zone = invocation.zone
        query = session_query(layout, tenant, user, workflow, status, since, until, zone, paused=paused, tag=tag)
        query = with_unindexed(
            query, title=title, model=model, min_messages=min_messages, min_tokens=min_tokens, min_cost=min_cost
        )
        shown = {
            **({"--layout": layout} if layout else {}),
            **given,
            **({"--everything": "True"} if everything else {}),
        }
        many.delete_matching(invocation, query, shown, Way(layout, plan, keep_usage, yes, dry_run, everything))
    else:
        raise WrongUse(
            what="No session is named.", hint="Give ids, --stdin, a filter such as --tenant, or --apply FILE."
        )
