"""`chatstore serve keys`: creates, lists and revokes the keys of the server."""

from __future__ import annotations

from typing import Annotated

import typer

from chatstore_cli.cli.command_declarations import command, group
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.key_notices import notices_of_new_key
from chatstore_cli.domain.api_keys import Right
from chatstore_cli.domain.errors import ExitCode
from chatstore_cli.render.listing import Listing, Record
from chatstore_cli.render.rows.api_keys import KEY_COLUMNS, NEW_KEY_FIELDS, key_row, new_key_row
from chatstore_cli.wiring.server import api_keys

app = group("keys", "Create, list and revoke the keys of the server.")


@command(
    app,
    "create",
    examples=[
        "chatstore serve keys create --name support --right read --tenant acme",
        "chatstore serve keys create --name backend --right write -o json",
    ],
    exits=[ExitCode.NOT_ALLOWED, ExitCode.CONFLICT],
)
def create(
    context: typer.Context,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Name of the key in lists, such as its user.")],
    right: Annotated[
        Right, typer.Option("--right", help="What the key may do. Each right includes those before it.")
    ] = Right.READ,
    tenant: Annotated[
        list[str] | None,
        typer.Option("--tenant", metavar="ID", help="Limit the key to this tenant; repeatable [default: all tenants]."),
    ] = None,
) -> None:
    """Create a key and print it. The key is shown only now: the server stores only a digest of it.

    A running server accepts the key at once. A key that is limited to tenants cannot read what has no tenant, such as
    flat messages. A tenant need not have sessions yet: the command prints a notice if the database answers quickly.
    """
    invocation = Invocation(context)
    invocation.reject_read_only()
    keys = api_keys(invocation.settings)
    created = keys.create(name, right, tenant or None)
    invocation.emit(Record(NEW_KEY_FIELDS, new_key_row(created)))
    invocation.say("Copy the key now. It cannot be shown again.")
    for notice in notices_of_new_key(invocation, created.key, keys.all()):
        invocation.say(notice)


@command(app, "list", examples=["chatstore serve keys list"], exits=[ExitCode.NOT_ALLOWED])
def list_(context: typer.Context) -> None:
    """List the keys, without their texts."""
    invocation = Invocation(context)
    rows = [key_row(key) for key in api_keys(invocation.settings).all()]
    invocation.emit(Listing(KEY_COLUMNS, rows, empty="The server has no keys. On loopback none is required."))


@command(
    app,
    "revoke",
    examples=["chatstore serve keys revoke 4f1c9a02b7de"],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.CONFLICT],
)
def revoke(
    context: typer.Context,
    key_id: Annotated[str, typer.Argument(metavar="KEY_ID", help="The id of the key, as `keys list` prints it.")],
) -> None:
    """Revoke a key. A running server rejects it at once. Its open sockets are closed within a minute."""
    invocation = Invocation(context)
    invocation.reject_read_only()
    keys = api_keys(invocation.settings)
    invocation.emit(Record(KEY_COLUMNS, key_row(keys.revoke(key_id))))
    if not keys.exist():
        invocation.say(
            "No key is left. A server that is started now requires no key, and only this machine can reach it."
        )
