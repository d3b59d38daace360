"""`chatstore demo`: the real commands with their real output, on sample chats in a database of their own."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chatstore_cli.cli.invocation import Invocation, terminal_of
from chatstore_cli.cli.options import command, single_command
from chatstore_cli.domain.errors import ExitCode
from chatstore_cli.render.listing import Column, Listing

if TYPE_CHECKING:
    from chatstore_cli.core.demo.stage import DemoStage, Step

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
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --remove: do not ask.")] = False,
    folder: Annotated[
        Path | None, typer.Option("--folder", metavar="PATH", help="The demo's folder [default: in the state folder]")
    ] = None,
) -> None:
    """Show what chatstore does, on sample chats in a database of their own.

    It uses the embedded MongoDB unless --uri names another one, whatever is configured, and there the database
    chatstore_demo unless --database names another one. A database or folder that holds anything else is left alone.
    """
    from chatstore_cli.core.demo.sample_chats import sample_chats
    from chatstore_cli.core.demo.stage import (
        DEMO_DATABASE,
        check_ended_well,
        play,
        played_row,
    )
    from chatstore_cli.domain.secrets import masked
    from chatstore_cli.domain.times import utc_now
    from chatstore_cli.wiring.demo import demo_stage

    invocation = Invocation(context)
    options = invocation.options
    named = {"--uri": options.uri and masked(options.uri), "--database": options.database, "--folder": folder}
    options.uri, options.database = options.uri or "embedded", options.database or DEMO_DATABASE
    invocation.will_write()
    stage = demo_stage(invocation.stores, folder, invocation.say)
    stage.refuse_strangers()
    if remove:
        _remove(invocation, stage, yes=yes)
        return
    stage.load(sample_chats(utc_now()))
    show = _Show(invocation, stage, named)
    show.open()
    played = list(play(show.run))
    if options.output is not None:
        invocation.emit(Listing(STEP_COLUMNS, [played_row(step) for step in played]))
    check_ended_well(played)
    show.close()


def _remove(invocation: Invocation, stage: DemoStage, *, yes: bool) -> None:
    contents = stage.store.contents()
    if not contents and not stage.folder.path.exists():
        invocation.say("There is nothing of the demo to remove.")
        return
    what = (
        f"database {invocation.settings.mongo.database} ({sum(contents.values()):,} documents in {len(contents)} "
        f"collections) and the folder {stage.folder.path}"
    )
    invocation.confirm(f"This removes {what}.", yes=yes)
    stage.store.drop()
    stage.folder.remove()
    invocation.say(f"Removed {what}.")


class _Show:
    """Tells the steps and runs them as processes of their own, so that what is shown is what a user gets."""

    def __init__(self, invocation: Invocation, stage: DemoStage, named: Mapping[str, object]) -> None:
        self._say = invocation.say
        self._hush = ["--quiet"] if invocation.options.quiet else []
        words = [word for name, value in named.items() if value is not None for word in (name, str(value))]
        self._removal = shlex.join(["chatstore", "demo", *words, "--remove", "--yes"])
        self._exports = stage.exports(os.environ, uri_named=named["--uri"] is not None)
        self._environment = stage.environment(os.environ)
        # With -o the steps are the data; what they print is talk then.
        self._stream = sys.stdout if invocation.options.output is None else sys.stderr
        self._bold = terminal_of(self._stream.isatty(), invocation.options.color).color

    def open(self) -> None:
        """Say where everything is, in words that a user can type too."""
        self._tell("Sample chats are in a database of their own. This leads every command there:", *self._exports)

    def run(self, step: Step) -> int:
        """Run one step and give its exit status."""
        self._tell(step.says, shlex.join(["chatstore", *step.arguments]))
        command_line = [sys.executable, "-m", "chatstore_cli", *self._hush, *step.arguments]
        done = subprocess.run(
            command_line, env=self._environment, stdin=subprocess.DEVNULL, stdout=self._stream, check=False
        )
        return done.returncode

    def close(self) -> None:
        """Say how to go on, and how to remove it all."""
        program = Path(sys.argv[0]).absolute()
        found = [f"  export PATH={shlex.quote(str(program.parent))}:$PATH"] if program.name == "chatstore" else []
        lines = [
            *found,
            *(f"  {line}" for line in self._exports),
            "  chatstore sessions list --status failed",
            "  chatstore usage --by day -o csv",
            "  chatstore --help",
        ]
        self._say("\nTo try more:\n" + "\n".join(lines))
        self._say(f"To remove it all: {self._removal}\nTo stop the embedded MongoDB: chatstore db stop")

    def _tell(self, says: str, *commands: str) -> None:
        on, off = ("\x1b[1m", "\x1b[0m") if self._bold else ("", "")
        self._stream.write(f"\n# {says}\n" + "".join(f"{on}$ {line}{off}\n" for line in commands))
        self._stream.flush()
