"""The audit of readings, in the collection of the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from chatstore_cli.core.audit.readings import ReadAudit
    from chatstore_cli.domain.audit import AuditStore
    from chatstore_cli.wiring.stores import Stores


def read_audit(stores: Callable[[], Stores]) -> ReadAudit:
    """The audit. It connects when the first reading is recorded."""
    from chatstore_cli.core.audit.readings import ReadAudit

    def store() -> AuditStore:
        from chatstore_cli.mongo.audit.store import MongoAudit

        found = stores()
        return MongoAudit(found.connection, found.settings.chatstore.server.audit)

    return ReadAudit(store)
