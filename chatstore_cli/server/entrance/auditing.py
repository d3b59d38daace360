"""Records that a caller gets messages. Every route and socket that returns stored messages calls `note_reading` before."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from chatstore_cli.domain.api_keys import Access
from chatstore_cli.domain.errors import ChatstoreError, Unreachable
from chatstore_cli.server.services import Services

_LOG = logging.getLogger("chatstore.server")
_SECONDS = 3.0


async def note_reading(services: Services, access: Access, sessions: Iterable[tuple[str, str]]) -> None:
    """Record that the caller reads messages of these sessions, each as layout and id.

    If that is not possible, a key for some tenants gets no messages: raises Unreachable. A key for all tenants is the
    operator's, who needs the cache most while MongoDB is away: the log then has the reading.
    """
    missing = services.audit.missing(access, sessions)
    if not missing:
        return
    try:
        await services.reading.run(lambda: services.audit.record(missing), seconds=_SECONDS)
    except ChatstoreError as error:
        for each in missing:
            _LOG.warning("[AUDIT] Not stored: key %s read %s:%s", each.key_id, each.layout, each.session_id)
        _LOG.warning("[AUDIT] %s", error.as_text())
        if access.tenants is not None:
            raise Unreachable(
                what="Reading messages with this key must be recorded, and the database does not answer."
            ) from error
