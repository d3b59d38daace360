"""General chats in the database that the settings name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from chatstore_cli.domain.errors import BadConfig
from chatstore_cli.domain.times import Clock, utc_now

if TYPE_CHECKING:
    from chatstore_cli.core.general.chats import GeneralChats
    from chatstore_cli.core.verify.checklist import Check
    from chatstore_cli.domain.general_counters import CounterMerges
    from chatstore_cli.wiring.stores import Stores


def require_general_chats(stores: Stores) -> None:
    """Raise BadConfig if general chats have no collection."""
    if stores.settings.layouts.general.sessions is None:
        raise BadConfig(
            where="layouts.general.sessions",
            what="General chats have no collection, because this setting is null or another setting names the same collection.",
            hint="Set layouts.general.sessions to a collection that no other setting names.",
        )


def general_chats(stores: Stores, warn: Callable[[str], None] = lambda _: None, clock: Clock = utc_now) -> GeneralChats:
    """The general chats. `warn` is called with each warning once. Raises BadConfig if they have no collection."""
    from chatstore_cli.core.general.chats import GeneralChats
    from chatstore_cli.core.segments.keeper import SegmentKeeper
    from chatstore_cli.mongo.general.numbers import ChatNumbers
    from chatstore_cli.mongo.general.writer import MongoGeneralWriter
    from chatstore_cli.wiring.segments import segment_store

    require_general_chats(stores)
    keeper = SegmentKeeper(segment_store(stores, warn, "general"), warn=warn)
    store = MongoGeneralWriter(stores.connection, stores.settings, warn)
    return GeneralChats(store, ChatNumbers(stores.connection, stores.settings), keeper, warn=warn, clock=clock)


def counter_merges(stores: Stores, *, is_patient: bool = True) -> CounterMerges:
    """Doubled counters of general chats. If not patient, each search stops at the time limit of the settings."""
    from chatstore_cli.mongo.general.counter_merges import MongoCounterMerges

    if is_patient:
        return MongoCounterMerges(stores.patient_connection, stores.settings)
    return MongoCounterMerges(stores.connection, stores.settings, stores.settings.verify.seconds_per_check)


def general_checks(stores: Stores) -> list[Check]:
    """The checks of `chatstore verify` that read general chats, within the limits of the settings."""
    from chatstore_cli.core.verify.checklist import Check, Verdict
    from chatstore_cli.core.verify.general import collision_verdict, counter_verdict
    from chatstore_cli.mongo.general.samples import MongoGeneralSamples

    bounds = stores.settings.verify
    seconds = bounds.seconds_per_check

    def samples() -> MongoGeneralSamples:
        return MongoGeneralSamples(stores.connection, stores.settings, sample=bounds.sample, seconds=seconds)

    def counters() -> Verdict:
        return counter_verdict(counter_merges(stores, is_patient=False), samples(), seconds)

    return [
        Check("general-counters", counters, "connection"),
        Check("general-ids", lambda: collision_verdict(samples(), seconds), "connection"),
    ]
