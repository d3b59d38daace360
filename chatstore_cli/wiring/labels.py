"""The labels of sessions, which are in MongoDB for every layout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatstore_cli.domain.errors import Unreachable

if TYPE_CHECKING:
    from chatstore_cli.domain.labels import LabelStore
    from chatstore_cli.wiring.stores import Stores


def label_store(stores: Stores) -> LabelStore:
    """The labels of the settings' database. Raises Unreachable if MongoDB is disabled."""
    if not stores.settings.mongo.enabled:
        raise Unreachable(
            what="Tags, and titles of sessions that are not threads, are stored in MongoDB, which is disabled "
            "(mongo.enabled: false).",
            hint="Set mongo.enabled: true and mongo.uri.",
        )
    from chatstore_cli.mongo.labels.store import MongoLabels

    return MongoLabels(stores.connection.for_one_command(), stores.settings)


def shown_labels(stores: Stores, layout: str | None = None) -> LabelStore | None:
    """The labels that lists of a layout, or of all layouts, show; None if MongoDB is disabled, or would have to be started.

    A list of threads in PostgreSQL starts no embedded MongoDB.
    """
    mongo = stores.settings.mongo
    if not mongo.enabled:
        return None
    if stores.uses_mongo(layout):
        return label_store(stores)
    if mongo.uri == "embedded":
        return None
    from chatstore_cli.mongo.labels.store import MongoLabels

    return MongoLabels(stores.connection.for_one_command(), stores.settings, are_optional=True)
