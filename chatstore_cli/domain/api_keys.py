"""API keys of the server: what a caller may do, and whose sessions it sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol


class Right(StrEnum):
    """What a key may do. Each right includes those before it."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    def includes(self, other: Right) -> bool:
        """Whether somebody with this right may do what needs the other one."""
        order = tuple(Right)
        return order.index(self) >= order.index(other)


@dataclass(frozen=True, slots=True)
class Access:
    """What one caller may do. `tenants` None is every tenant. `key_id` None is a caller without a key, on loopback."""

    right: Right
    tenants: frozenset[str] | None = None
    key_id: str | None = None

    def sees(self, tenant: str | None) -> bool:
        """Whether the caller sees what belongs to this tenant. What belongs to none is only for callers of all tenants."""
        return self.tenants is None or (tenant is not None and tenant in self.tenants)


EVERYTHING = Access(Right.ADMIN)
"""The access of every caller of a server without keys, which listens on loopback only."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is stored: `digest` is the SHA-256 of the text that the caller presents, in hexadecimal digits."""

    key_id: str
    name: str
    right: Right
    tenants: tuple[str, ...] | None
    created_at: datetime
    digest: str

    @property
    def access(self) -> Access:
        """What a caller with this key may do."""
        return Access(self.right, None if self.tenants is None else frozenset(self.tenants), self.key_id)


class NewKey(NamedTuple):
    """A key that was created. `text` is what the caller presents: it is stored nowhere, and shown once."""

    key: ApiKey
    text: str


class ApiKeyStore(Protocol):
    """Keeps keys. Raises the errors of domain/errors.py."""

    def all(self) -> Sequence[ApiKey]:
        """Every key, in the order in which they were created. A change by another process is seen at once."""

    def change(self, change: Callable[[Sequence[ApiKey]], Sequence[ApiKey]]) -> None:
        """Replace the keys by what `change` returns for them. Changes of several processes happen one after the other."""
