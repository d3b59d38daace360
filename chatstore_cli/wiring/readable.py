"""The readers of the layouts that the database's user may read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chatstore_cli.domain.session_reader import SessionReader
    from chatstore_cli.mongo.connection import Connection
    from chatstore_cli.wiring.stores import Stores


class ReadableSessions(NamedTuple):
    """The readers, and a note for each layout that is left out because the user may not read its collections."""

    readers: list[SessionReader]
    notes: list[str]


def readable_sessions(stores: Stores, layout: str | None, *, used_for_long: bool = False) -> ReadableSessions:
    """The readers of every layout that the user may read, or that of the named layout.

    For commands that only read: what a command changes must not depend on what it was not allowed to see. Raises NotAllowed
    if the user may not read the named layout, or none of the layouts that the database has.
    """
    readers = stores.session_readers(layout, used_for_long=used_for_long)
    if not stores.uses_mongo(layout):
        return ReadableSessions(readers, [])
    from chatstore_cli.domain.errors import NotAllowed
    from chatstore_cli.mongo.collections import collection_facts
    from chatstore_cli.mongo.layouts.registry import collections_of
    from chatstore_cli.mongo.read_rights import unreadable_among

    connection = stores.connection.for_one_command()
    in_mongo = [each.layout for each in readers if not stores.uses_postgres(each.layout)]
    collections = {each: collections_of(each, stores.settings) for each in in_mongo}
    unreadable = set(unreadable_among(connection, {name for names in collections.values() for name in names}))
    if not unreadable:
        return ReadableSessions(readers, [])
    kept: list[SessionReader] = []
    notes: list[str] = []
    has_any = False
    for reader in readers:
        names = collections.get(reader.layout, [])
        exists = not names or collection_facts(connection, names[0]).exists
        lacking = [name for name in names if name in unreadable]
        if lacking and exists:
            notes.append(
                f"The layout {reader.layout} is left out: this user may not read {_named(connection, lacking)}."
            )
        else:
            kept.append(reader)
            has_any |= exists
    if notes and not has_any:
        raise NotAllowed(what=" ".join(notes), hint="Grant the user the role read on this database.")
    return ReadableSessions(kept, notes)


def _named(connection: Connection, names: Sequence[str]) -> str:
    """The collections; a user who may not list collections does not learn whether they exist."""
    from chatstore_cli.mongo.collections import collection_facts

    if all(collection_facts(connection, name).is_usable for name in names):
        return " and ".join(names)
    return f"{' and '.join(names)}, or {'it does' if len(names) == 1 else 'they do'} not exist"
