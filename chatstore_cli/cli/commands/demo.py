"""`chatstore demo`: runs real commands on sample sessions in a separate database."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from chatstore_cli.cli.command_declarations import command, single_command
from chatstore_cli.cli.demo_samples import chosen_demo, load_samples
from chatstore_cli.cli.dry_runs import confirmed
from chatstore_cli.cli.extras import can_check_server
from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.cli.option_conflicts import reject_options_without
from chatstore_cli.cli.results import terminal_of
from chatstore_cli.core.demo.setup import (
    SAMPLE_THREAD,
    DemoSetup,
    Step,
    check_results,
    result_row,
    run_steps,
)
from chatstore_cli.domain.errors import ExitCode
from chatstore_cli.domain.secrets import masked_uri
from chatstore_cli.render.listing import Column, Listing

app = single_command()

STEP_COLUMNS = (
    Column("command", "COMMAND"),
    Column("exit_code", "EXIT STATUS", align="right"),
    Column("expected", "EXPECTED", align="right"),
)


@command(
    app,
    "demo",
    examples=["chatstore demo", "chatstore demo --uri mongodb://localhost:27017", "chatstore demo --remove --yes"],
    exits=[ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE],
)
def demo(
    context: typer.Context,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the demo's database and folder.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --remove, do not ask for confirmation.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --remove, list what would be removed, and remove nothing.")
    ] = False,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder", metavar="PATH", help="Put the demo's files into this folder (default: in the state folder)."
        ),
    ] = None,
) -> None:
    """Try chatstore on sample sessions in a separate database.

    The configured server is not used: the demo runs on the embedded MongoDB, or on the server named with --uri, in the
    database chatstore_demo, or the one named with --database. A database or folder with other content is not changed.
    """
    if not remove:
        reject_options_without(context, "--remove", "--dry-run")
    invocation = Invocation(context)
    options = invocation.options
    named = {
        "--config": options.config,
        "--uri": options.uri and masked_uri(options.uri),
        "--database": options.database,
        "--folder": folder,
    }
    setup = chosen_demo(invocation, folder, dry_run=dry_run)
    if remove:
        _remove(invocation, setup, yes=yes, dry_run=dry_run)
        return
    load_samples(setup)
    presenter = _Presenter(invocation, setup, named)
    presenter.open()
    results = list(run_steps(presenter.run, with_server=can_check_server()))
    if options.output is not None:
        invocation.emit(Listing(STEP_COLUMNS, [result_row(result) for result in results]))
    check_results(results)
    presenter.close()


def _remove(invocation: Invocation, setup: DemoSetup, *, yes: bool, dry_run: bool) -> None:
    contents = setup.store.contents()
    if not contents and not setup.folder.path.exists():
        invocation.say("The demo has no database or folder to remove.")
        return
    content = (
        f"database {invocation.settings.mongo.database} ({sum(contents.values()):,} documents in {len(contents)} "
        f"collections) and the folder {setup.folder.path}"
    )
    if not confirmed(invocation, f"This would remove {content}.", yes=yes, dry_run=dry_run):
        return
    setup.store.drop()
    setup.folder.remove()
    invocation.say(f"Removed {content}.")
    named = os.environ.get("CHATSTORE_CONFIG")
    if named and Path(named).absolute().is_relative_to(setup.folder.path):
        invocation.say("CHATSTORE_CONFIG names a removed file: unset CHATSTORE_CONFIG")


class _Presenter:
    """Prints the purpose and the command of each step, and runs it as a process, exactly as a user would."""

    def __init__(self, invocation: Invocation, setup: DemoSetup, named: Mapping[str, object]) -> None:
        self._say = invocation.say
        self._quiet = ["--quiet"] if invocation.options.quiet else []
        words = [word for name, value in named.items() if value is not None for word in (name, str(value))]
        self._removal = setup.removal(os.environ, options=words, config=invocation.options.config)
        # `serve --demo` serves the demo of the state folder. With the exports above, `serve` serves any other.
        self._serve = "chatstore serve --demo" if not words else "chatstore serve"
        self._exports = setup.exports(os.environ, uri_named=named["--uri"] is not None)
        self._environment = setup.environment(os.environ)
        # With -o the results of the steps are the data on stdout, and their output goes to stderr.
        self._stream = sys.stdout if invocation.options.output is None else sys.stderr
        self._bold = terminal_of(self._stream.isatty(), invocation.options.color).color

    def open(self) -> None:
        """Print the shell commands that select the demo's database and folder."""
        self._print("The sample sessions are in a separate database. Select it for the commands below:", *self._exports)

    def run(self, step: Step) -> int:
        """Run one step and return its exit status."""
        self._print(step.purpose, shlex.join(["chatstore", *step.arguments]))
        command_line = [sys.executable, "-m", "chatstore_cli", *self._quiet, *step.arguments]
        process = subprocess.run(
            command_line, env=self._environment, stdin=subprocess.DEVNULL, stdout=self._stream, check=False
        )
        return process.returncode

    def close(self) -> None:
        """Print more commands to try, and how to remove the demo."""
        program = Path(sys.argv[0]).absolute()
        path = [f"  export PATH={shlex.quote(str(program.parent))}:$PATH"] if program.name == "chatstore" else []
        lines = [
            *path,
            *(f"  {line}" for line in self._exports),
            "  chatstore sessions list --status failed",
            "  chatstore usage --by day -o csv",
            f"  chatstore threads fork {SAMPLE_THREAD} --at 4",
            *([f"  {self._serve}"] if can_check_server() else []),
            "  chatstore --help",
        ]
        removal = [f"  {line}" for line in self._removal]
        for line in ["", "More commands to try:", *lines, "To remove the demo:", *removal]:
            self._say(line)

    def _print(self, purpose: str, *commands: str) -> None:
        bold, reset = ("\x1b[1m", "\x1b[0m") if self._bold else ("", "")
        self._stream.write(f"\n# {purpose}\n" + "".join(f"{bold}$ {line}{reset}\n" for line in commands))
        self._stream.flush()
