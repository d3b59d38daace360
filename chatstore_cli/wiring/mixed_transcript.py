"""The readers of a mixed transcript."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatstore_cli.domain.mixed_transcript import TRANSCRIPT_LAYOUTS

if TYPE_CHECKING:
    from chatstore_cli.core.mixed_transcript.sources import Readers
    from chatstore_cli.wiring.stores import Stores


def transcript_readers(stores: Stores) -> Readers:
    """The readers of the layouts whose sessions can be sources. They read from the primary.

    If writes wait for a majority of the servers, they read what a majority has, so that a failover does not undo a turn
    that a client has received. Other writes may reach a majority later than their client, which would then be ahead.
    """
    from chatstore_cli.mongo.layouts.registry import LAYOUTS

    connection, settings = stores.connection, stores.settings
    waits = settings.mongo.write_concern == "majority"
    connection = connection.reading_majority() if waits else connection.reading_from_primary()
    has_general = settings.layouts.general.sessions is not None
    names = [name for name in TRANSCRIPT_LAYOUTS if name in LAYOUTS and (name == "workflow" or has_general)]
    return {name: LAYOUTS[name](connection, settings) for name in names}
