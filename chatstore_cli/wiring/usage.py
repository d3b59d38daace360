"""Usage: the ledger, its sums and its recorder, for the collections in the settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chatstore_cli.core.usage.metrics import SessionMetrics
    from chatstore_cli.core.usage.recorder import UsageRecorder
    from chatstore_cli.mongo.connection import Connection
    from chatstore_cli.mongo.usage.daily_sums import MongoDailySums
    from chatstore_cli.mongo.usage.exports import MongoUsageExports
    from chatstore_cli.mongo.usage.ledger import MongoUsageLedger
    from chatstore_cli.mongo.usage.statistics import MongoUsageStatistics
    from chatstore_cli.mongo.usage.sums import MongoUsageSums
    from chatstore_cli.wiring.stores import Stores


def usage_ledger(stores: Stores, layout: str = "workflow") -> MongoUsageLedger:
    """The ledger's rows of one layout's sessions, and the counters of these sessions."""
    return _ledger(stores.patient_connection.reading_from_primary(), stores, layout)


def usage_ledgers(stores: Stores, layout: str | None = None) -> list[MongoUsageLedger]:
    """The ledgers of the layouts that have one and that the database has, or only that of one layout."""
    used = ["workflow", *([] if stores.settings.layouts.general.sessions is None else ["general"])]
    return [usage_ledger(stores, each) for each in used if layout in (None, each)]


def _ledger(connection: Connection, stores: Stores, layout: str) -> MongoUsageLedger:
    from chatstore_cli.mongo.general.shape import GENERAL
    from chatstore_cli.mongo.usage.ledger import MongoUsageLedger
    from chatstore_cli.mongo.workflow.shape import WORKFLOW

    shapes = {shape.layout: shape for shape in (WORKFLOW, GENERAL)}
    return MongoUsageLedger(connection, stores.settings, shapes[layout])


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


def usage_statistics(stores: Stores) -> MongoUsageStatistics:
    """The usage of sessions in the platform's statistics."""
    from chatstore_cli.mongo.usage.statistics import MongoUsageStatistics

    return MongoUsageStatistics(stores.patient_connection, stores.settings.layouts.general.stats)


def usage_exports(stores: Stores) -> MongoUsageExports:
    """The batches of exported rows of the ledger."""
    from chatstore_cli.mongo.usage.exports import MongoUsageExports

    names = stores.settings.layouts.workflow
    return MongoUsageExports(stores.patient_connection, names.usage, names.usage_exports)


def usage_recorder(stores: Stores, warn: Callable[[str], None]) -> UsageRecorder:
    """The recorder of workflows' usage. It calls `warn` with each problem of a report, once per text."""
    from chatstore_cli.core.usage.recorder import UsageRecorder

    return UsageRecorder(_ledger(stores.connection, stores, "workflow"), warn)


def session_metrics(stores: Stores) -> SessionMetrics:
    """The recorder of the usage of turns, for the sessions of every layout with a ledger.

    It raises BadConfig for a general chat if these have no collection.
    """
    from chatstore_cli.core.usage.metrics import SessionMetrics
    from chatstore_cli.domain.times import utc_now
    from chatstore_cli.wiring.general import require_general_chats

    def ledger_of(layout: str) -> MongoUsageLedger:
        if layout == "general":
            require_general_chats(stores)
        return _ledger(stores.connection, stores, layout)

    return SessionMetrics(ledger_of, clock=utc_now)
