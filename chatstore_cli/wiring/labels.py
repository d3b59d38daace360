"""The labels of sessions, which are in MongoDB for every layout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatstore_cli.domain.errors import Unreachable

if TYPE_CHECKING:
    from chatstore_cli.core.verify.checklist import Check
    from chatstore_cli.domain.indexes.specs import IndexSpec
    from chatstore_cli.domain.labels import LabelStore, SessionRef
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


def create_label_index(stores: Stores, labels: LabelStore) -> None:
    """Create the collection with the index on tags, if neither exists. Without the right, look-ups by a tag are slower."""
    from chatstore_cli.mongo.collections import collection_facts
    from chatstore_cli.mongo.labels.documents import label_index_spec
    from chatstore_cli.mongo.maintenance.index_store import MongoIndexStore

    if not collection_facts(stores.connection, labels.collection).exists:
        index_store = MongoIndexStore(stores.connection.reading_from_primary(), stores.patient_connection)
        index_store.create_if_allowed([label_index_spec(labels.collection)])


def rename_thread(stores: Stores, session: SessionRef, name: str) -> bool:
    """Change the name of a thread. False if the session is not a thread, or its id is not a text.

    Raises InvalidThreadData for a name that a thread cannot have.
    """
    from chatstore_cli.wiring.databases import THREADS
    from chatstore_cli.wiring.threads import conversations

    if session.layout != THREADS:
        return False
    return conversations(stores).update_thread(session.session_id, name=name) is not None


def label_indexes(stores: Stores) -> list[IndexSpec]:
    """The index on tags, if there are labels."""
    from chatstore_cli.mongo.collections import collection_facts
    from chatstore_cli.mongo.labels.documents import label_index_spec

    name = stores.settings.chatstore.labels.collection
    return [label_index_spec(name)] if collection_facts(stores.connection, name).exists else []


def label_checks(stores: Stores) -> list[Check]:
    """The check of `chatstore verify` that looks for labels without a session, within the limits of the settings."""
    from chatstore_cli.core.labels.orphans import OrphanedLabels
    from chatstore_cli.core.verify.checklist import Check, Verdict, skipped
    from chatstore_cli.core.verify.labels import label_verdict
    from chatstore_cli.domain.errors import MissingRight

    bounds = stores.settings.verify

    def labels() -> Verdict:
        store = label_store(stores)
        orphans = OrphanedLabels(stores.session_readers(), store)
        try:
            with stores.within(bounds.seconds_per_check):
                return label_verdict(orphans, store.collection, bounds.sample, bounds.seconds_per_check)
        except MissingRight:
            return skipped(f"this user may not read {store.collection}, or the sessions that have labels")

    return [Check("labels", labels, "connection")]
