"""Keys of the server as rows. Only a new key has its text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chatstore_cli.domain.times import rfc3339
from chatstore_cli.render.listing import Column

if TYPE_CHECKING:
    from chatstore_cli.domain.api_keys import ApiKey, NewKey


def key_row(key: ApiKey) -> dict[str, Any]:
    """One key. `tenants` is null if it is for all tenants."""
    return {
        "key_id": key.key_id,
        "name": key.name,
        "right": key.right.value,
        "tenants": None if key.tenants is None else list(key.tenants),
        "created_at": rfc3339(key.created_at),
    }


def new_key_row(created: NewKey) -> dict[str, Any]:
    """A new key with its text."""
    return {**key_row(created.key), "key": created.text}


def _tenants(value: Any) -> str:
    return "all" if value is None else ", ".join(value)


KEY_COLUMNS = (
    Column("key_id", "KEY ID", whole=True),
    Column("name", "NAME"),
    Column("right", "RIGHT"),
    Column("tenants", "TENANTS", show=_tenants),
    Column("created_at", "CREATED", is_time=True, whole=True, spare=1),
)
NEW_KEY_FIELDS = (
    Column("key", "Key", whole=True),
    Column("key_id", "Key id"),
    Column("name", "Name"),
    Column("right", "Right"),
    Column("tenants", "Tenants", show=_tenants),
    Column("created_at", "Created", is_time=True),
)
