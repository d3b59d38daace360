"""What every route takes from its request: the services, and what the caller may do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import HTTPConnection

from chatstore_cli.domain.api_keys import Access, Right
from chatstore_cli.server.entrance.callers import require_right
from chatstore_cli.server.errors.error_bodies import Refusal
from chatstore_cli.server.services import Services


def services_of(connection: HTTPConnection) -> Services:
    """The services of the server."""
    return cast(Services, connection.app.state.services)


async def _services(connection: HTTPConnection) -> Services:
    # The framework runs dependencies that are not coroutines in threads.
    return services_of(connection)


def _needs(right: Right) -> Callable[[HTTPConnection], Awaitable[Access]]:
    async def access_of(connection: HTTPConnection) -> Access:
        access: Access = connection.state.access
        require_right(access, right)
        return access

    return access_of


Served = Annotated[Services, Depends(_services)]
Reader = Annotated[Access, Depends(_needs(Right.READ))]
"""A caller who may read."""
Writer = Annotated[Access, Depends(_needs(Right.WRITE))]
Administrator = Annotated[Access, Depends(_needs(Right.ADMIN))]


_LIMITED = "The key is limited to tenants, and "
FLAT_MESSAGES = _LIMITED + "flat messages have no tenant."
COMMON_FIGURES = _LIMITED + "the figures of this route are of all tenants together."


def of_all_tenants(access: Access, otherwise: str) -> Access:
    """The caller, if it sees every tenant. Raises Refusal with the message `otherwise`, which has the reason."""
    if access.tenants is not None:
        raise Refusal(HTTPStatus.FORBIDDEN, otherwise, kind="tenant", hint="Use a key for all tenants.")
    return access
