"""The root command: lazy subcommands, and the one place where an error becomes an exit status."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, cast

import typer

from chatstore_cli.cli.options import ChatGroup
from chatstore_cli.domain.errors import ChatstoreError, ExitCode


class LazyCommand(NamedTuple):
    """A command that is imported when it is called; its summary is at hand without that."""

    module: str
    summary: str


COMMANDS: dict[str, LazyCommand] = {
    "sessions": LazyCommand("sessions.sessions", "List, show, watch, measure, split, end, pause and delete sessions."),
    "resume": LazyCommand("resume", "Print a session's history so that a model can go on from it."),
    "history": LazyCommand("history", "Show a session's newest messages, from the cache and from MongoDB."),
    "usage": LazyCommand("usage.usage", "Report tokens and cost."),
    "flush-cache": LazyCommand("flush_cache", "Store journals (JSONL) in MongoDB, each message exactly once."),
    "worker": LazyCommand("worker", "Follow journals and store new lines in MongoDB."),
    "cache": LazyCommand("cache.cache", "Manage the local cache: status, quarantine, pruning."),
    "indexes": LazyCommand("indexes", "Compare indexes with what they should be, and create what is missing."),
    "ttl": LazyCommand("ttl", "Show and set how long messages are kept."),
    "verify": LazyCommand("verify", "Check the whole path from configuration to database."),
    "db": LazyCommand("db", "Start, stop and inspect the embedded MongoDB."),
    "config": LazyCommand("config", "Write, show and check the configuration."),
    "demo": LazyCommand("demo", "Show what chatstore does, on sample chats in a database of their own."),
}


class RootGroup(ChatGroup):
    """Commands are listed from the table and imported one at a time: start-up pays for one command, not for all."""

    globals_hidden = False

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import the command; None where there is none of that name."""
        found = COMMANDS.get(cmd_name)
        if found is None:
            return None
        module = importlib.import_module(f"chatstore_cli.cli.commands.{found.module}")
        return typer.main.get_command(module.app)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Suggest the nearest names where there is none of this one."""
        self.commands = cast(Any, dict.fromkeys(COMMANDS))  # Typer reads only the names, to suggest one
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, found.summary) for name, found in COMMANDS.items()])


def root_command() -> RootGroup:
    """The command line as one object; docs/cli.md is generated from it."""
    version = _version_option()
    return RootGroup(
        name="chatstore",
        help="Look after the conversations that a chat product stores in MongoDB.",
        params=[version],
        context_settings={"help_option_names": ["-h", "--help"]},
        no_args_is_help=True,
        rich_markup_mode=None,
    )


def _version_declaration(
    version: Annotated[bool, typer.Option("--version", is_eager=True, help="Print the version.")] = False,
) -> None:
    """Only its parameter matters: Typer makes it into an option."""


def _version_option() -> Any:
    template = typer.Typer(add_completion=False, rich_markup_mode=None)
    template.command()(_version_declaration)
    option: Any = next(item for item in typer.main.get_command(template).params if item.name == "version")
    option.expose_value = False
    option.callback = _print_version
    return option


def _print_version(_context: typer.Context, _parameter: Any, value: bool) -> bool:
    if value:
        from chatstore_cli import __version__

        sys.stdout.write(f"chatstore {__version__}\n")
        raise typer.Exit(0)
    return value


def run(arguments: Sequence[str]) -> int:
    """Run one command line and give its exit status. No traceback reaches the user."""
    warnings.showwarning = cast(Any, _tell_warning)
    _open_missing_streams()
    try:
        return _invoke(arguments)
    except ChatstoreError as error:
        return _report(error, arguments)
    except typer.TyperException as error:
        return _report_wrong_use(error, arguments)
    except (KeyboardInterrupt, typer.Abort):
        sys.stderr.write("Interrupted.\n")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        return ExitCode.DONE  # the reader of our pipe went away (`| head`)
    except Exception as error:  # noqa: BLE001 - the last line of defence: a log file instead of a traceback
        return _report_unexpected(error, arguments)
    finally:
        _settle_streams()
        _let_go_of_the_driver()


def _open_missing_streams() -> None:
    # Python has None for a stream that was closed before it started (`>&-`).
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - open to the end


def _invoke(arguments: Sequence[str]) -> int:
    # Not Typer's own `main`: that ends with 1 where a pipe is closed, and turns an interrupt into a status.
    root = root_command()
    try:
        with root.make_context("chatstore", list(arguments)) as context:
            result = root.invoke(context)
    except typer.Exit as ended:
        result = ended.exit_code
    sys.stdout.flush()
    return int(result) if isinstance(result, int) else ExitCode.DONE


def _tell_warning(message: Warning | str, *_: Any) -> None:
    # A library's warning, such as the driver's about an unknown option of the URI: one line, without its source code.
    sys.stderr.write(f"chatstore: {str(message).strip().partition(chr(10))[0]}\n")


def _report(error: ChatstoreError, arguments: Sequence[str]) -> int:
    from chatstore_cli.cli.errors import write_error

    write_error(error.kind, error.message, error.hint, int(error.exit_code), arguments)
    return error.exit_code


def _report_wrong_use(error: typer.TyperException, arguments: Sequence[str]) -> int:
    from chatstore_cli.cli.errors import write_error

    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError" and context is not None:
        sys.stdout.write(context.get_help() + "\n")
        return ExitCode.WRONG_USE
    path = context.command_path if context is not None else "chatstore"
    write_error("wrong_use", error.format_message(), f"See {path} --help.", int(ExitCode.WRONG_USE), arguments)
    return ExitCode.WRONG_USE


def _report_unexpected(error: Exception, arguments: Sequence[str]) -> int:
    from chatstore_cli.cli.errors import translated, write_crash_log, write_error

    known = translated(error)
    if known is not None:
        return _report(known, arguments)
    path = write_crash_log(error, arguments)
    hint = f"Details are in {path} Please report it with that file."
    write_error("unexpected", f"Unexpected {type(error).__name__}", hint, int(ExitCode.FAILED), arguments)
    return ExitCode.FAILED


def _settle_streams() -> None:
    # What cannot be written by now (a closed pipe, a full disk) must not fail once more when the interpreter ends.
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _let_go_of_the_driver() -> None:
    # FACTS A: PyMongo's atexit hook joins sleeping threads for half a second; they are daemons. Only in our process.
    monitor = sys.modules.get("pymongo.synchronous.monitor")
    shutdown = getattr(monitor, "_shutdown_resources", None)
    if shutdown is not None:
        import atexit

        atexit.unregister(shutdown)
