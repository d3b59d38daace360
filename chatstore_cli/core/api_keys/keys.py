"""Creates, lists and revokes API keys, and finds the one that a caller presents."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence

from chatstore_cli.domain.api_keys import Access, ApiKey, ApiKeyStore, NewKey, Right
from chatstore_cli.domain.errors import BadValue, NotFound
from chatstore_cli.domain.quantities import quantity
from chatstore_cli.domain.times import Clock, utc_now

PREFIX = "chatstore_"
"""Every key begins with this text, so that scanners of secrets find a key that was published by mistake."""

_LONGEST_NAME = 200
_LONGEST_TENANT_BYTES = 500


class ApiKeys:
    """The keys of a server."""

    def __init__(
        self,
        store: ApiKeyStore,
        *,
        clock: Clock = utc_now,
        random_text: Callable[[int], str] = secrets.token_hex,
    ) -> None:
        self._store, self._clock, self._random_text = store, clock, random_text
        self._were_seen = False

    def create(self, name: str, right: Right, tenants: Sequence[str] | None) -> NewKey:
        """Create a key for these tenants; None is all of them. Raises BadValue."""
        if not name.strip() or len(name) > _LONGEST_NAME:
            raise BadValue(name="--name", value=name[:60], expected=f"a name of 1 to {_LONGEST_NAME} characters")
        for tenant in tenants or ():
            if not 1 <= len(tenant.encode("utf-8", "surrogatepass")) <= _LONGEST_TENANT_BYTES or "\0" in tenant:
                expected = f"the id of a tenant: 1 to {_LONGEST_TENANT_BYTES} bytes"
                raise BadValue(name="--tenant", value=tenant[:60], expected=expected)
        key_id = self._random_text(6)
        text = f"{PREFIX}{key_id}_{self._random_text(32)}"
        named = None if tenants is None else tuple(dict.fromkeys(tenants))
        key = ApiKey(key_id, name.strip(), right, named, self._clock(), _digest(text))
        self._store.change(lambda keys: [*keys, key])
        return NewKey(key, text)

    def exist(self) -> bool:
        """Whether there is any key. A server without keys answers everybody, and listens on loopback only."""
        return bool(self._store.all())

    def are_required(self) -> bool:
        """Whether callers need a key: there is one, or there was one since this process began.

        If the last key is revoked, or the file is deleted, a running server must not become open to everybody.
        """
        self._were_seen = self._were_seen or self.exist()
        return self._were_seen

    def all(self) -> Sequence[ApiKey]:
        """Every key, in the order in which they were created."""
        return self._store.all()

    def revoke(self, key_id: str) -> ApiKey:
        """Delete a key, which is then rejected at once. Raises NotFound."""
        revoked: list[ApiKey] = []

        def without(keys: Sequence[ApiKey]) -> list[ApiKey]:
            revoked[:] = [key for key in keys if key.key_id == key_id]
            if not revoked:
                named = [key.key_id for key in keys if key.name == key_id.strip()]
                hint = "To list the ids of keys, run: chatstore serve keys list"
                if named:
                    ids = f"ids are {', '.join(named)}" if len(named) > 1 else f"id is {named[0]}"
                    hint = f"This is the name of {quantity(len(named), 'key')}. The {ids}."
                raise NotFound(kind_of_thing="key", name=key_id, where="", hint=hint)
            return [key for key in keys if key.key_id != key_id]

        self._store.change(without)
        return revoked[0]

    def still_grant(self, access: Access) -> bool:
        """Whether a caller who was let in with this access would be let in with it now."""
        if access.key_id is None:
            return not self.are_required()
        return any(key.key_id == access.key_id and key.access == access for key in self._store.all())

    def access(self, presented: str) -> Access | None:
        """What the caller who presents this text may do; None if no key has this text.

        Every key is compared, each in constant time, so that the time of the answer reveals nothing about the keys.
        """
        digest = _digest(presented)
        found: Access | None = None
        for key in self._store.all():
            if hmac.compare_digest(key.digest, digest):
                found = key.access
        return found


def _digest(text: str) -> str:
    """A key has 256 random bits, so a fast hash is enough: nobody can try all of them."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
