"""The readers of a command that only reads: those of the layouts that the user may read. A notice names the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatstore_cli.cli.invocation import Invocation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chatstore_cli.domain.session_reader import SessionReader


def readable_readers(invocation: Invocation, layout: str | None) -> list[SessionReader]:
    """The reader of a layout, or of every layout that the user may read. Raises NotAllowed if the user may read none."""
    from chatstore_cli.wiring.readable import readable_sessions

    found = readable_sessions(invocation.stores, layout)
    _report(invocation, found.notes)
    return found.readers


def readable_layouts(invocation: Invocation, layouts: Sequence[str]) -> list[str]:
    """Those of the layouts that the user may read. Raises NotAllowed if the user may read none."""
    from chatstore_cli.wiring.readable import readable_layouts

    found = readable_layouts(invocation.stores, layouts)
    _report(invocation, found.notes)
    return found.layouts


def _report(invocation: Invocation, notes: Sequence[str]) -> None:
    for note in notes:  # with --quiet too: a list or a sum of some layouts must not pass for all
        invocation.warn(note)
