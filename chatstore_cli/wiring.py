"""Settings -> ready-made ports. The one place that chooses adapters."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from chatstore_cli.domain.errors import ChatstoreError, NotFound, Unreachable

if TYPE_CHECKING:
    from chatstore_cli.config import Settings
    from chatstore_cli.domain.ports import SessionReader
    from chatstore_cli.mongo.connection import Connection


class Stores:
    """The stores that the settings name. Nothing is imported or connected before it is asked for."""

    def __init__(self, settings: Settings, *, say: Callable[[str], None]) -> None:
        self.settings = settings
        self._say = say

    @cached_property
    def uri(self) -> str:
        """The URI in force; starts the embedded MongoDB where that is what is configured."""
        mongo = self.settings.mongo
        if not mongo.enabled:
            raise Unreachable(
                what="The database is switched off (mongo.enabled: false).",
                hint="Journals can still be read; set mongo.enabled: true for this command.",
            )
        if mongo.uri != "embedded":
            return mongo.uri
        from chatstore_cli.mongo.embedded import ensure_running

        return ensure_running(mongo.embedded.data_dir, mongo.embedded.runtime_dir, say=self._say)

    @cached_property
    def connection(self) -> Connection:
        """The connection for ordinary operations, each of which must answer in time."""
        from chatstore_cli.mongo.connection import connect

        mongo = self.settings.mongo
        return connect(
            self.uri,
            mongo.database,
            timeout_seconds=mongo.timeout_seconds,
            write_concern=mongo.write_concern,
            journaled=mongo.journaled,
            answer_seconds=max(mongo.timeout_seconds, 30.0),
        )

    @cached_property
    def patient_connection(self) -> Connection:
        """The connection for what may take long, such as building an index."""
        from chatstore_cli.mongo.connection import connect

        mongo = self.settings.mongo
        return connect(
            self.uri,
            mongo.database,
            timeout_seconds=mongo.timeout_seconds,
            write_concern=mongo.write_concern,
            journaled=mongo.journaled,
        )

    @cached_property
    def target(self) -> str:
        """Server and database in words, without credentials."""
        if self.settings.mongo.uri == "embedded":
            return f"embedded MongoDB, database {self.settings.mongo.database}"
        return self.connection.target

    def session_readers(self, layout: str | None = None) -> list[SessionReader]:
        """The readers of every layout, or of the one named. Raises NotFound for a layout that does not exist."""
        from chatstore_cli.mongo.layouts.registry import LAYOUTS

        if layout is not None and layout not in LAYOUTS:
            known = ", ".join(LAYOUTS)
            raise NotFound(kind_of_thing="layout", name=layout, where="", hint=f"There are: {known}.")
        names = [layout] if layout is not None else list(LAYOUTS)
        return [LAYOUTS[name](self.connection, self.settings) for name in names]


def masked_text(text: str) -> str:
    """Any text with the passwords of URIs in it taken out."""
    return re.sub(r"(mongodb(?:\+srv)?://[^:@/\s]*):[^@/\s]*@", r"\1:***@", text)


def translate_stray(error: Exception) -> ChatstoreError | None:
    """The error of ours for a driver's or the system's error that no adapter caught; None for a bug."""
    if "pymongo" in sys.modules:  # else it cannot be the driver's, and an error must not cost its import
        from chatstore_cli.mongo.connection import is_driver_error, translate

        if is_driver_error(error):
            return translate(error, "MongoDB")
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return ChatstoreError(what=f"{where}{error.strerror}")
    return None
