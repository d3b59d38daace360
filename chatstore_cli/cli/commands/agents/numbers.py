"""`chatstore agents numbers list|bind|unbind`: the phone numbers that saved agents answer."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore_cli.cli.agent_options import AgentArgument, YesOption, agent_id_of
from chatstore_cli.cli.command_declarations import command, group
from chatstore_cli.cli.dry_runs import DryRunOption, begin, confirmed, result_of
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.list_options import AllOption, CursorOption
from chatstore_cli.cli.paged_list import PageLimitOption, RowPage, emit_pages
from chatstore_cli.domain.errors import ExitCode
from chatstore_cli.render.listing import Column, Record

app = group("numbers", "List, bind and unbind the phone numbers of agents.")

_EXITS = [ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT]

NumberArgument = Annotated[
    str,
    typer.Argument(metavar="NUMBER", help="The phone number in E.164 form, such as +4930123456. A missing + is added."),
]
NumberTenantOption = Annotated[
    str | None,
    typer.Option("--tenant", metavar="ID", help="Require this tenant. Other tenants' numbers count as missing."),
]


@command(
    app,
    "list",
    examples=["chatstore agents numbers list", "chatstore agents numbers list --tenant acme -o json"],
    exits=[ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT],
)
def list_(
    context: typer.Context,
    tenant: Annotated[
        str | None, typer.Option("--tenant", metavar="ID", help="Include only numbers of this tenant.")
    ] = None,
    limit: PageLimitOption = None,
    all_: AllOption = False,
    cursor: CursorOption = None,
) -> None:
    """List the phone numbers of agents, the most recently bound first.

    The default agent, if one is configured, answers a number that is disabled or has no agent. To see which agent answers
    a number, and why, run chatstore agents resolve --did NUMBER.
    """
    from chatstore_cli.render.rows.phone_numbers import NUMBER_COLUMNS, number_row
    from chatstore_cli.wiring.phone_numbers import phone_numbers

    invocation = Invocation(context)
    registry = phone_numbers(invocation.stores)

    def read(after: str | None, size: int) -> RowPage:
        page = registry.list_numbers(tenant_id=tenant, limit=size, cursor=after)
        return RowPage([number_row(each) for each in page.bindings], page.next_cursor)

    of_these = " with these options" if tenant or cursor else ""
    empty = f"No phone numbers{of_these} in {invocation.target}."
    emit_pages(invocation, NUMBER_COLUMNS, read, limit=limit, all_=all_, cursor=cursor, empty=empty)


@command(
    app,
    "bind",
    examples=["chatstore agents numbers bind +4930123456 65bb00000000000000000001 --tenant acme"],
    exits=_EXITS,
)
def bind(
    context: typer.Context, number: NumberArgument, agent_id: AgentArgument, tenant: NumberTenantOption = None
) -> None:
    """Route a phone number to an agent. The number then belongs to the agent's tenant.

    If the tenant has a route of this number already, its agent is replaced. If another tenant has one, the command exits
    with status 8: a number has one route.
    """
    from chatstore_cli.domain.phone_numbers import checked_number
    from chatstore_cli.render.rows.phone_numbers import NUMBER_FIELDS, number_row
    from chatstore_cli.wiring.phone_numbers import phone_numbers

    number, agent_id = checked_number(number), agent_id_of(agent_id)
    invocation = Invocation(context)
    invocation.will_write()
    binding = phone_numbers(invocation.stores).bind(number, agent_id, tenant_id=tenant)
    invocation.emit(Record(NUMBER_FIELDS, number_row(binding)))


@command(
    app,
    "unbind",
    examples=["chatstore agents numbers unbind +4930123456", "chatstore agents numbers unbind +4930123456 --yes"],
    exits=_EXITS,
)
def unbind(
    context: typer.Context,
    number: NumberArgument,
    binding: Annotated[
        str | None,
        typer.Option("--binding", metavar="ID", help="Delete this one of several routes, which only old data has."),
    ] = None,
    tenant: NumberTenantOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Delete the route of a phone number. The agent remains.

    It asks for confirmation (--yes skips the question). Then the default agent answers the number, if one
    is configured (chatstore.agents.default_agent).
    """
    from chatstore_cli.domain.phone_numbers import checked_number
    from chatstore_cli.render.rows.phone_numbers import NUMBER_FIELDS, number_row
    from chatstore_cli.wiring.phone_numbers import phone_numbers

    number = checked_number(number)
    invocation = Invocation(context)
    begin(invocation, dry_run=dry_run)
    collection = invocation.settings.chatstore.agents.bindings
    plan = (
        f"This would delete 1 document of {collection}, the route of {number}. Then the default agent answers the number, "
        "if one is configured (chatstore.agents.default_agent)."
    )
    is_confirmed = confirmed(invocation, plan, yes=yes, dry_run=dry_run)
    numbers = phone_numbers(invocation.stores)
    removed = numbers.unbind(number, tenant_id=tenant, binding_id=binding, dry_run=not is_confirmed)
    row = {**number_row(removed), "result": result_of("deleted", dry_run=dry_run)}
    invocation.emit(Record((*NUMBER_FIELDS, Column("result", "Result")), row))
