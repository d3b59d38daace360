"""Usage: the ledger, its sums and its recorder, for the collections in the settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatstore_cli.core.usage.recorder import UsageRecorder
    from chatstore_cli.mongo.usage.daily_sums import MongoDailySums
    from chatstore_cli.mongo.usage.ledger import MongoUsageLedger
    from chatstore_cli.mongo.usage.sums import MongoUsageSums
    from chatstore_cli.wiring.stores import Stores


def usage_ledger(stores: Stores) -> MongoUsageLedger:
    """The ledger's rows, and the counters of sessions."""
    from chatstore_cli.mongo.usage.ledger import MongoUsageLedger

    return MongoUsageLedger(stores.patient_connection.reading_from_primary(), stores.settings)


def usage_sums(stores: Stores) -> MongoUsageSums:
    """The sums of the ledger, for reports."""
    from chatstore_cli.mongo.usage.sums import MongoUsageSums

    names = stores.settings.layouts.workflow
    return MongoUsageSums(stores.patient_connection, names.usage, names.usage_rollups)


def daily_sums(stores: Stores) -> MongoDailySums:
    """The daily sums of the ledger, for rollups."""
    from chatstore_cli.mongo.usage.daily_sums import MongoDailySums

    names = stores.settings.layouts.workflow
    return MongoDailySums(stores.patient_connection, names.usage, names.usage_rollups)


def usage_recorder(stores: Stores, warn: Callable[[str], None]) -> UsageRecorder:
    """The recorder of usage. It calls `warn` with each problem of a report, once per text."""
    from chatstore_cli.core.usage.recorder import UsageRecorder
    from chatstore_cli.mongo.usage.ledger import MongoUsageLedger

    return UsageRecorder(MongoUsageLedger(stores.connection, stores.settings), warn)
