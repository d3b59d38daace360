"""Requests for input that a responder has made and that no user has answered yet."""

from __future__ import annotations

from typing import NamedTuple

from chatstore_cli.core.lru import LruMap
from chatstore_cli.domain.api_keys import Access
from chatstore_cli.domain.responding import Event

_MOST_OPEN = 10_000
_TYPE = "input_request"
_ID_KEYS = ("input_request_id", "request_id")


class InputRequest(NamedTuple):
    """The workflow session whose responder asked for input."""

    tenant: str
    user: str
    chat_id: str
    workflow: str


class InputRequests:
    """The open requests of this process, by tenant and id: responders choose the ids. Of very many, the newest are kept."""

    def __init__(self) -> None:
        self._open: LruMap[tuple[str, str], InputRequest] = LruMap(_MOST_OPEN)

    def note(self, event: Event, request: InputRequest) -> None:
        """Remember the request if the event is one and has an id."""
        identity = next((event.data[key] for key in _ID_KEYS if isinstance(event.data.get(key), str)), None)
        if event.type == _TYPE and identity:
            self.open(identity, request)

    def open(self, request_id: str, request: InputRequest) -> None:
        """Remember a request, until it is closed."""
        self._open.put((request.tenant, request_id), request)

    def find(self, request_id: str, access: Access) -> InputRequest | None:
        """The open request with this id, of a tenant that the caller sees."""
        tenants = access.tenants
        if tenants is None:
            tenants = frozenset(tenant for tenant, identity in self._open if identity == request_id)
        found = (self._open.get((tenant, request_id)) for tenant in sorted(tenants))
        return next((each for each in found if each is not None), None)

    def close(self, request_id: str, answered: InputRequest) -> None:
        """Forget a request, because it was answered. An id of another session or user is that of another request."""
        if self._open.get((answered.tenant, request_id)) == answered:
            self._open.pop((answered.tenant, request_id))
