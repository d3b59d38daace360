"""The option --dry-run of the commands that show a plan before they change something."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from chatstore_cli.cli.invocation import Invocation

NOTHING_IS_DELETED = "nothing is deleted"
"""The note of a dry run beside the target."""
NOTHING_CHANGES = "nothing changes"
PLANNED = "planned"
"""The `result` of everything that a dry run lists."""


def dry_run_option(done: str = "deleted", do: str = "delete") -> Any:
    """The option of a command that would do this, in the words of its help."""
    return typer.Option("--dry-run", help=f"List what would be {done}, and {do} nothing.")


DryRunOption = Annotated[bool, dry_run_option()]


def begin(invocation: Invocation, *, dry_run: bool, nothing: str = NOTHING_IS_DELETED) -> None:
    """Print the target, with `nothing` in a dry run. Otherwise raises NotAllowed with --read-only."""
    invocation.will_write(dry_run=nothing if dry_run else "")


def confirmed(invocation: Invocation, plan: str, *, yes: bool, dry_run: bool) -> bool:
    """Whether to carry out the plan: False in a dry run, which prints the plan as notices instead of a question.

    Raises NeedsConfirmation.
    """
    if dry_run:
        for line in plan.splitlines():
            invocation.say(line)
        return False
    invocation.confirm(plan, yes=yes)
    return True


def result_of(done: str, *, dry_run: bool) -> str:
    """The `result` of a row."""
    return PLANNED if dry_run else done
