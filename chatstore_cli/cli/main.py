"""The root command: commands that are imported when called, and the conversion of errors into exit statuses."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple, cast

import typer

from chatstore_cli.cli.command_declarations import ChatGroup
from chatstore_cli.cli.global_options import global_options
from chatstore_cli.domain.errors import BadValue, ChatstoreError, ExitCode, NotFound
from chatstore_cli.domain.secrets import masked


class LazyCommand(NamedTuple):
    """A command that is imported when it is called. Its summary is available without the import."""

    module: str
    summary: str


COMMANDS: dict[str, LazyCommand] = {
    "sessions": LazyCommand("sessions.sessions", "List, show, watch, split and delete sessions; set their status."),
    "threads": LazyCommand("threads.threads", "Create, read, change, copy, export and import threads."),
    "general": LazyCommand("general.general", "List, show and start general chats; append and print messages."),
    "agents": LazyCommand("agents.agents", "List, show, change and resolve saved agents."),
    "workflows": LazyCommand("workflows.workflows", "Show and switch the workflows of client sessions."),
    "states": LazyCommand("states.states", "Show and change the states of a Python agent."),
    "search": LazyCommand("search.search", "Find messages by their text, in all layouts."),
    "resume": LazyCommand("resume", "Print a session's history for a model or framework to continue."),
    "history": LazyCommand("history", "Show a session's newest messages from journal and MongoDB."),
    "usage": LazyCommand("usage.usage", "Report tokens and cost."),
    "flush-cache": LazyCommand("flush_cache", "Store journals in MongoDB, each message exactly once."),
    "worker": LazyCommand("worker", "Follow journals and store new messages in MongoDB."),
    "cache": LazyCommand("cache.cache", "Show and prune the local cache, and empty the quarantine."),
    "indexes": LazyCommand("indexes.indexes", "Compare indexes with the required ones and create missing ones."),
    "ttl": LazyCommand("ttl.ttl", "Show and set how long messages are kept."),
    "verify": LazyCommand("verify.verify", "Check configuration, database, indexes and stored documents."),
    "serve": LazyCommand("serve.serve", "Serve chat applications over HTTP and WebSocket."),
    "db": LazyCommand("db", "Start, stop, inspect and remove the embedded MongoDB."),
    "config": LazyCommand("config.config", "Write, show and check the configuration."),
    "demo": LazyCommand("demo", "Try chatstore on sample sessions in a separate database."),
    "help": LazyCommand("help", "Print the help of a command."),
}


class RootGroup(ChatGroup):
    """Imports only the command that is called, so that a start costs one command's imports."""

    hides_global_options = False
    lazy_commands: ClassVar[Mapping[str, str]] = {name: lazy.module for name, lazy in COMMANDS.items()}

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in the order of the table."""
        return list(COMMANDS)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Options as of other commands; the commands without importing them."""
        from chatstore_cli.cli.completion import completed

        commands = {name: lazy.summary for name, lazy in COMMANDS.items() if name.startswith(incomplete)}
        return completed(commands) if commands else super().shell_complete(ctx, incomplete)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.summary) for name, lazy in COMMANDS.items()])


def root_command() -> RootGroup:
    """The whole command line. docs/cli.md is generated from it."""
    return RootGroup(
        name="chatstore",
        help="Administer the chat sessions that a chat product stores in MongoDB.",
        params=_root_options(),
        context_settings={"help_option_names": ["-h", "--help"]},
        no_args_is_help=True,
        rich_markup_mode=None,
    )


def _root_declarations(
    version: Annotated[bool, typer.Option("--version", is_eager=True, help="Print the version and exit.")] = False,
    install_completion: Annotated[
        bool, typer.Option("--install-completion", is_eager=True, help="Install the completion of your shell and exit.")
    ] = False,
    show_completion: Annotated[
        bool,
        typer.Option("--show-completion", is_eager=True, help="Print the completion script of your shell and exit."),
    ] = False,
) -> None:
    """Declares parameters that Typer turns into options. It is never called."""


def _root_options() -> list[Any]:
    template = typer.Typer(add_completion=False, rich_markup_mode=None)
    template.command()(_root_declarations)
    callbacks = {
        "version": _print_version,
        "install_completion": _install_completion,
        "show_completion": _show_completion,
    }
    options: list[Any] = [item for item in typer.main.get_command(template).params if item.name in callbacks]
    for option in options:
        option.expose_value = False
        option.callback = callbacks[option.name]
    return options


def _print_version(_context: typer.Context, _parameter: Any, value: bool) -> bool:
    if value:
        from chatstore_cli import __version__

        sys.stdout.write(f"chatstore {__version__}\n")
        raise typer.Exit(0)
    return value


def _install_completion(_context: typer.Context, _parameter: Any, value: bool) -> bool:
    if value:
        from chatstore_cli.cli.completion import install_script

        sys.stdout.write(f"{install_script()}\n")
        raise typer.Exit(0)
    return value


def _show_completion(_context: typer.Context, _parameter: Any, value: bool) -> bool:
    if value:
        from chatstore_cli.cli.completion import script

        sys.stdout.write(f"{script()}\n")
        raise typer.Exit(0)
    return value


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status. No traceback reaches the user."""
    warnings.showwarning = cast(Any, _show_warning)
    threading.excepthook = ThreadErrors(arguments).report
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
        return ExitCode.DONE  # the reader of the pipe has ended (`| head`)
    except Exception as error:  # noqa: BLE001 - the user gets the path of a log file instead of a traceback
        return _report_unexpected(error, arguments)
    finally:
        _flush_streams()
        _skip_driver_exit_hook()


class ThreadErrors:
    """Reports an error that ended a background thread in one line, once per kind, instead of by a traceback."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._arguments = arguments
        self._reported: set[type[BaseException]] = set()

    def report(self, ended: threading.ExceptHookArgs) -> None:
        """The hook that `threading` calls in the thread that ended."""
        error = ended.exc_value
        if not isinstance(error, Exception) or type(error) in self._reported:
            return
        self._reported.add(type(error))
        with contextlib.suppress(OSError, ValueError):  # stderr is closed
            _report_unexpected(error, self._arguments)


def _open_missing_streams() -> None:
    # Otherwise the next file or socket would take the number of a closed stream, and a child process would print into it.
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    # A stream that was closed before Python started (`>&-`) is None.
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - stays open


def _invoke(arguments: Sequence[str]) -> int:
    # Typer's own `main` exits with status 1 if a pipe is closed, and handles interrupts itself.
    root = root_command()
    if instruction := os.environ.get("_CHATSTORE_COMPLETE"):
        from chatstore_cli.cli.completion import complete

        return complete(root, instruction)
    try:
        with root.make_context("chatstore", list(arguments)) as context:
            result = root.invoke(context)
    except typer.Exit as exit_:
        result = exit_.exit_code
    except NotFound as error:
        if error.facts.get("kind_of_thing") == "layout":  # a wrong value of an option, known before anything is read
            layout = error.facts["name"]
            raise BadValue(name="--layout", value=layout, expected="a layout", hint=error.hint) from error
        invocation = global_options(context).invocation
        if invocation is not None:
            invocation.suggest(error)
            error.hint = invocation.with_target(error.hint or "") or None
        raise
    sys.stdout.flush()
    return int(result) if isinstance(result, int) else ExitCode.DONE


def _show_warning(message: Warning | str, *_: Any) -> None:
    # Python prints a library's warning with a line of source code. One line is enough, for example for an unknown URI option.
    sys.stderr.write(f"chatstore: {masked(str(message).strip().partition(chr(10))[0])}\n")


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
    # Typer quotes words that it does not expect, and a URI may be among them.
    write_error("wrong_use", masked(error.format_message()), f"See {path} --help.", int(ExitCode.WRONG_USE), arguments)
    return ExitCode.WRONG_USE


def _report_unexpected(error: Exception, arguments: Sequence[str]) -> int:
    from chatstore_cli.cli.errors import write_crash_log, write_error
    from chatstore_cli.wiring.system import translate_uncaught_error

    translated = translate_uncaught_error(error)
    if translated is not None:
        return _report(translated, arguments)
    path = write_crash_log(error, arguments)
    hint = f"Report it with the file {path}"
    write_error("unexpected", f"Unexpected {type(error).__name__}", hint, int(ExitCode.FAILED), arguments)
    return ExitCode.FAILED


def _flush_streams() -> None:
    # The interpreter flushes at its exit, where a failure (closed pipe, full disk) would print another error.
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _skip_driver_exit_hook() -> None:
    # PyMongo's hook at exit joins sleeping daemon threads, which delays the end of the process by half a second.
    monitor = sys.modules.get("pymongo.synchronous.monitor")
    shutdown = getattr(monitor, "_shutdown_resources", None)
    if shutdown is not None:
        import atexit

        atexit.unregister(shutdown)
