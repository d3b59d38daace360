"""The tenants that a caller acts for."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

from chatstore_cli.domain.api_keys import Access
from chatstore_cli.domain.errors import ChatstoreError, NotFound
from chatstore_cli.server.errors.error_bodies import Refusal

T = TypeVar("T")


def tenants_of(access: Access) -> list[str | None]:
    """The tenants to ask a store for, one after the other. None stands for all of them."""
    return [None] if access.tenants is None else [*sorted(access.tenants)]


def owner_of(access: Access) -> str | None:
    """The tenant that owns what the caller creates. Raises Refusal if the key is for several tenants."""
    tenants = tenants_of(access)
    if len(tenants) == 1:
        return tenants[0]
    raise Refusal(HTTPStatus.FORBIDDEN, "The key is for several tenants. Use one for a single tenant.", kind="tenant")


def of_any_tenant(access: Access, call: Callable[[str | None], T]) -> T:
    """What `call` returns for the first of the caller's tenants that has the thing. Raises NotFound as `call` does."""
    missing: ChatstoreError | None = None
    for tenant in tenants_of(access):
        try:
            return call(tenant)
        except NotFound as error:
            missing = error
    if missing is None:  # a key for no tenant
        raise Refusal(HTTPStatus.NOT_FOUND, "Not found")
    raise missing
