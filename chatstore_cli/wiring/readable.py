"""The layouts that the database's user may read, for everything that only reads: commands, library, server, page and watches.

A command that changes or deletes sessions must not depend on what it may not read. It takes `Stores.session_readers`, and
fails if a right is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from chatstore_cli.domain.errors import NotAllowed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chatstore_cli.domain.session_reader import SessionReader
    from chatstore_cli.wiring.stores import Stores


class ReadableLayouts(NamedTuple):
    """The layouts, and a note for each one that is left out because the user may not read its collections."""

    layouts: list[str]
    notes: list[str]


class ReadableSessions(NamedTuple):
    """The readers, and the notes of ReadableLayouts."""

    readers: list[SessionReader]
    notes: list[str]


def readable_sessions(stores: Stores, layout: str | None, *, used_for_long: bool = False) -> ReadableSessions:
    """The readers of every layout that the user may read, or that of the named layout.

    Raises NotAllowed if the user may not read the named layout, or none of the layouts that the database has.
    """
    readers = stores.session_readers(layout, used_for_long=used_for_long)
    found = readable_layouts(stores, [each.layout for each in readers])
    return ReadableSessions([each for each in readers if each.layout in found.layouts], found.notes)


def readable_layouts(stores: Stores, layouts: Sequence[str]) -> ReadableLayouts:
    """Those of the layouts that the user may read.

    Raises NotAllowed if the database has sessions of some of them, and the user may read none of these.
    """
    in_mongo = [each for each in layouts if not stores.uses_postgres(each)]
    if not in_mongo:
        return ReadableLayouts([*layouts], [])
    rights = stores.layout_rights
    left_out = rights.left_out(in_mongo)
    kept = [each for each in layouts if each not in left_out]
    notes = [*left_out.values()]
    if left_out and not any(each not in in_mongo or rights.exists(each) for each in kept):
        raise NotAllowed(what=" ".join(notes), hint="Grant the user the role read on this database.")
    return ReadableLayouts(kept, notes)
