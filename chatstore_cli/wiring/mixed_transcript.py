"""The readers of a mixed transcript."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatstore_cli.domain.mixed_transcript import TRANSCRIPT_LAYOUTS

if TYPE_CHECKING:
    from chatstore_cli.core.mixed_transcript.sources import Readers
    from chatstore_cli.wiring.stores import Stores


def transcript_readers(stores: Stores) -> Readers:
    """The readers of the layouts whose sessions can be sources. They read what a majority of the servers has.

    So a failover does not undo a turn that a client has received, and a server that is behind is not read.
    """
    from chatstore_cli.mongo.layouts.registry import LAYOUTS

    connection, settings = stores.connection.reading_majority(), stores.settings
    has_general = settings.layouts.general.sessions is not None
    names = [name for name in TRANSCRIPT_LAYOUTS if name in LAYOUTS and (name == "workflow" or has_general)]
    return {name: LAYOUTS[name](connection, settings) for name in names}
