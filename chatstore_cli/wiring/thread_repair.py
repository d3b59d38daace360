"""Finding and correcting what is wrong with stored threads, in the collections of the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatstore_cli.domain.threads.repair import ThreadRepairs
    from chatstore_cli.wiring.stores import Stores


def thread_repairs(stores: Stores) -> ThreadRepairs:
    """For `threads repair`, without a time limit."""
    from chatstore_cli.mongo.threads.repair import MongoThreadRepairs

    return MongoThreadRepairs(stores.patient_connection.reading_from_primary(), stores.settings)
