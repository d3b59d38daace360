"""`chatstore threads export|import`: writes a thread to a file, and reads it from one."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.file_names import JSON, check_file_name
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.message_input import opened_twice
from chatstore_cli.cli.thread_options import OwnerTenantOption, OwnerUserOption, ThreadArgument, owner_of
from chatstore_cli.domain.errors import Conflict, ExitCode, Interrupted, WrongUse
from chatstore_cli.domain.quantities import quantity
from chatstore_cli.render.listing import Record
from chatstore_cli.render.output_format import OutputFormat

app = single_command()


@command(
    app,
    "export",
    examples=[
        "chatstore threads export 0d5c7a1e --to thread.json",
        "chatstore threads export 0d5c7a1e | gzip > t.json.gz",
    ],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT],
)
def export(
    context: typer.Context,
    thread_id: ThreadArgument,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="FILE", help="Write to this file, readable only by its owner (default: stdout)."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if it exists.")] = False,
    user: OwnerUserOption = None,
    tenant: OwnerTenantOption = None,
) -> None:
    """Write a thread with all its messages as JSON.

    The file is one JSON object with everything that is stored: ids, times, sequence numbers, metadata and edits.
    chatstore threads import reads it, and so do the models of the library. The file appears when it is complete.
    """
    from chatstore_cli.core.threads.transfer import ThreadExport
    from chatstore_cli.render.json_text import safe_json
    from chatstore_cli.render.rows.threads import EXPORT_FIELDS
    from chatstore_cli.wiring.system import new_file
    from chatstore_cli.wiring.threads import conversations

    invocation = Invocation(context, layout="threads")
    output = invocation.options.output
    if to is None and output not in (None, OutputFormat.JSON):
        raise WrongUse(what=f"An export is JSON, not {output}.", hint="Leave out -o, or name a file with --to.")
    if to is not None:
        check_file_name("--to", to, JSON, is_chosen=False, say=invocation.say, hint="End the name with .json.")
    exported = ThreadExport(conversations(invocation.stores), thread_id, owner_of(user, tenant))
    if to is None:
        if sys.stdout.isatty():
            sys.stdout.writelines(safe_json(piece.decode()) for piece in exported.pieces())
        else:
            sys.stdout.buffer.writelines(exported.pieces())
        sys.stdout.flush()
        return
    with new_file(to, force=force, private=True) as stream:
        stream.writelines(exported.pieces())
    invocation.say(f"Wrote thread {thread_id!r} with {quantity(exported.messages, 'message')} to {to}.")
    if output is not None:
        row = {"thread_id": thread_id, "messages": exported.messages, "file": to}
        invocation.emit(Record(EXPORT_FIELDS, row))


@command(
    app,
    "import",
    examples=["chatstore threads import thread.json", "chatstore threads import thread.json --as-copy --user tomasz"],
    exits=[ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE, ExitCode.CONFLICT],
)
def import_(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file of an export (- for stdin).")],
    as_copy: Annotated[
        bool, typer.Option("--as-copy", help="Store a copy: give the thread and its messages new ids.")
    ] = False,
    user: Annotated[
        str | None,
        typer.Option("--user", metavar="ID", help="Store the thread for this user (default: the user in the file)."),
    ] = None,
    tenant: Annotated[
        str | None,
        typer.Option(
            "--tenant", metavar="ID", help="Store the thread for this tenant (default: the tenant in the file)."
        ),
    ] = None,
) -> None:
    """Store an exported thread.

    The whole file is checked first. If a value cannot be stored, the error names the line and nothing is stored. The
    thread is visible when it is complete. If the import is interrupted, run it again. If the thread exists, the command
    exits with status 8. The file may also be a thread that the library fluxibly wrote as JSON. Its times without a zone
    are read as UTC.
    """
    from chatstore_cli.core.threads.thread_file import ThreadFile
    from chatstore_cli.core.threads.transfer import checked_import
    from chatstore_cli.render.rows.threads import COPIED_THREAD_FIELDS, thread_row
    from chatstore_cli.wiring.threads import conversations

    invocation = Invocation(context, layout="threads")
    invocation.will_write()
    with opened_twice(file) as stream:
        source = ThreadFile(stream, "stdin" if file == "-" else file)
        checked = checked_import(source, as_copy=as_copy, user_id=user, org_id=tenant)
        try:
            with invocation.progress(source.size) as show:
                thread = checked.store(conversations(invocation.stores), show)
        except KeyboardInterrupt:
            raise Interrupted(
                what="The thread is visible only when it is complete. To complete it, run the command again."
            ) from None
        except Conflict as error:
            error.hint = error.hint or "To store a copy under new ids, use --as-copy."
            raise
    invocation.emit(Record(COPIED_THREAD_FIELDS, {**thread_row(thread), "messages": checked.messages}))
