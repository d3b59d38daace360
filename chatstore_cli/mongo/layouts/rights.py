"""Which layouts the user of the database may read, by the privileges that the server reports.

The reader of a layout hides nothing: without the right, MongoDB rejects its query, and it raises NotAllowed. Code that
only reads asks here first (wiring/readable.py), leaves out the layouts that it may not read, and reports them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.errors import ChatstoreError, MissingRight, NotAllowed, Unreachable
from chatstore_cli.mongo.collections import collection_facts
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.layouts.registry import collections_of

SECONDS_TRUSTED = 5.0
"""How long an answer of the server is used. If a right is withdrawn meanwhile, MongoDB rejects what needs it."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the server reported at an instant, and what followed from it for single collections.

    `readable` are the resources with the right to read; None if everything may be read, as far as the server reports it.
    """

    asked_at: float
    readable: list[Document] | None
    by_name: dict[str, bool] = field(default_factory=dict)


class ReadRights:
    """Which collections of a database the user may read. The server is queried at most every SECONDS_TRUSTED seconds.

    Without a login, and on servers that do not report privileges, the user may read all: a query reports a missing right.
    """

    def __init__(self, connection: Connection, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._connection = connection
        self._clock = clock
        self._answer: _Answer | None = None

    def may_read(self, name: str) -> bool:
        """Whether the user may read the collection. Raises NotAllowed if the login fails, and Unreachable."""
        if self._connection.in_memory:
            return True
        answer = self._answer
        if answer is None or self._clock() - answer.asked_at >= SECONDS_TRUSTED:
            answer = self._answer = _Answer(self._clock(), self._readable_resources())
        if answer.readable is None:
            return True
        if name not in answer.by_name:
            is_granted = any(_has(each, self._connection.database.name, name) for each in answer.readable)
            answer.by_name[name] = is_granted or self._is_readable(name)
        return answer.by_name[name]

    def _readable_resources(self) -> list[Document] | None:
        database = self._connection.database
        try:
            with driver_errors("reading the rights of the user"):
                status = database.command(
                    {"connectionStatus": 1, "showPrivileges": True}, read_preference=database.read_preference
                )
        except MissingRight:
            return None
        except (NotAllowed, Unreachable):  # the login failed, or no server answers
            raise
        except ChatstoreError:  # most likely another database behind MongoDB's protocol
            return None
        known = status.get("authInfo", {})
        privileges = known.get("authenticatedUserPrivileges")
        if not known.get("authenticatedUsers") or privileges is None:
            return None
        return [each.get("resource", {}) for each in privileges if "find" in each.get("actions", ())]

    def _is_readable(self, name: str) -> bool:
        """Whether the server lets the user read. It reports privileges even if it does not enforce them."""
        try:
            with driver_errors(f"reading {name}"):
                self._connection.collection(name).find_one({}, {"_id": 1})
        except MissingRight:
            return False
        return True


class LayoutRights:
    """Which layouts of a database the user may read. A layout needs the rights on all of its collections."""

    def __init__(
        self, connection: Connection, settings: Settings, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._connection = connection.for_one_command()
        self._settings = settings
        self._rights = ReadRights(connection, clock=clock)

    def left_out(self, layouts: Sequence[str]) -> dict[str, str]:
        """A note for each of the layouts that the user may not read. A layout that the database does not have needs no right."""
        notes = {}
        for layout in layouts:
            names = collections_of(layout, self._settings)
            lacking = [name for name in names if not self._rights.may_read(name)]
            if lacking and self.exists(layout):
                notes[layout] = f"The layout {layout} is left out: this user may not read {self._named(lacking)}."
        return notes

    def exists(self, layout: str) -> bool:
        """Whether the database has the layout, as far as the user may know."""
        return collection_facts(self._connection, collections_of(layout, self._settings)[0]).exists

    def _named(self, names: Sequence[str]) -> str:
        """The collections; a user who may not list collections does not learn whether they exist."""
        if all(collection_facts(self._connection, name).is_usable for name in names):
            return " and ".join(names)
        return f"{' and '.join(names)}, or {'it does' if len(names) == 1 else 'they do'} not exist"


def _has(resource: dict[str, Any], database: str, collection: str) -> bool:
    """Whether a resource of a privilege has the collection. An empty name is every database, or every collection."""
    if resource.get("anyResource"):
        return True
    return resource.get("db") in ("", database) and resource.get("collection") in ("", collection)
