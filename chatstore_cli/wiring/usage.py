"""The usage ledger that the settings name."""

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
    """The rows, and the counters of their sessions."""
    from chatstore_cli.mongo.usage.ledger import MongoUsageLedger

    return MongoUsageLedger(
        stores.patient_connection, stores.settings.layouts.workflow.usage, stores.settings.sessions_collection
    )


def usage_sums(stores: Stores) -> MongoUsageSums:
    """What the ledger adds up to, and its daily sums."""
    from chatstore_cli.mongo.usage.sums import MongoUsageSums

    names = stores.settings.layouts.workflow
    return MongoUsageSums(stores.patient_connection, names.usage, names.usage_rollups)


def daily_sums(stores: Stores) -> MongoDailySums:
    """The daily sums of the ledger, to be updated."""
    from chatstore_cli.mongo.usage.daily_sums import MongoDailySums

    names = stores.settings.layouts.workflow
    return MongoDailySums(stores.patient_connection, names.usage, names.usage_rollups)


def usage_recorder(stores: Stores, warn: Callable[[str], None]) -> UsageRecorder:
    """What writes into the ledger. `warn` is told what is odd, each thing once."""
    from chatstore_cli.core.usage.recorder import UsageRecorder
    from chatstore_cli.mongo.usage.ledger import MongoUsageLedger

    names = stores.settings
    ledger = MongoUsageLedger(stores.connection, names.layouts.workflow.usage, names.sessions_collection)
    return UsageRecorder(ledger, warn)
