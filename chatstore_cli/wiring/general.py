"""General chats in the database that the settings name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from chatstore_cli.domain.errors import BadConfig
from chatstore_cli.domain.times import Clock, utc_now

if TYPE_CHECKING:
    from chatstore_cli.core.general.chats import GeneralChats
    from chatstore_cli.wiring.stores import Stores


def require_general_chats(stores: Stores) -> None:
    """Raise BadConfig if general chats have no collection."""
    if stores.settings.layouts.general.sessions is None:
        raise BadConfig(
            where="layouts.general.sessions",
            what="General chats have no collection, because another layout uses GeneralChatSessions.",
            hint="Set layouts.general.sessions to the name of another collection.",
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
