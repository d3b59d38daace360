"""Notices about a new key that may be a mistake: an unknown tenant, or the name of another key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from chatstore_cli.cli.completed_values import answered_in_time, is_stopped
from chatstore_cli.domain.errors import NotFound
from chatstore_cli.domain.queries import SessionQuery

if TYPE_CHECKING:
    from chatstore_cli.cli.invocation import Invocation
    from chatstore_cli.domain.api_keys import ApiKey

SECONDS = 2.0
"""The time for the database, which a key does not need. If it needs longer, no notice about tenants is printed."""


def notices_of_new_key(invocation: Invocation, created: ApiKey, keys: Sequence[ApiKey]) -> Iterator[str]:
    """What the user should know about the new key. `keys` are all keys."""
    same = [key.key_id for key in keys if key.name == created.name and key.key_id != created.key_id]
    if same:
        yield f"{len(same)} other key{'s have' if len(same) > 1 else ' has'} the name {created.name!r}: {', '.join(same)}."
    unknown = _unknown_tenants(invocation, created.tenants or ())
    yield from unknown
    if unknown:
        yield f"If the tenant is mistyped, revoke the key: chatstore serve keys revoke {created.key_id}"


def _unknown_tenants(invocation: Invocation, tenants: Sequence[str]) -> list[str]:
    """A sentence for each tenant that no session has, as far as the database reports it in time. Starts no server."""
    if not tenants or not invocation.settings.mongo.enabled or is_stopped(invocation):
        return []
    found: list[str] = []

    def read() -> None:
        from chatstore_cli.core.sessions.names import require_known

        readers = invocation.stores.session_readers()
        for tenant in tenants:
            try:
                require_known(readers, SessionQuery(tenant_id=tenant), list)
            except NotFound as error:
                found.append(f"No session has the tenant {tenant!r}. {error.hint or ''}".rstrip())

    return found if answered_in_time(invocation, read, SECONDS) else []
