"""The part of `chatstore ttl` that is about the session registry."""

from __future__ import annotations

from chatstore_cli.cli.invocation import Invocation
from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.wiring.session_registry import registry_indexes
from chatstore_cli.wiring.stores import GENERAL

_KEY = "chatstore.registry.keep_days"


def has_registry(invocation: Invocation, layout: str | None) -> bool:
    """Whether the session registry belongs to a layout; for all layouts, whether its collection exists."""
    stores = invocation.stores
    if layout is not None or not stores.uses_mongo():
        return layout == GENERAL
    return stores.settings.layouts.general.registry in stores.index_store.existing_collections()


def specs_with_registry(invocation: Invocation, layout: str | None, *, wanted: bool) -> dict[str, list[IndexSpec]]:
    """The indexes that each layout needs, without regard to mongo.ttl_days; if wanted, with those of the session registry."""
    specs = {reader.layout: list(reader.index_specs()) for reader in invocation.stores.session_readers(layout)}
    if wanted:
        specs.setdefault(GENERAL, []).extend(registry_indexes(invocation.stores))
    return specs


def registry_agrees(invocation: Invocation, days: int, layout: str | None, *, is_changed: bool) -> bool:
    """Report how long entries are kept. False if the index was changed to another time than the setting."""
    configured, source = invocation.settings.chatstore.registry.keep_days, invocation.configuration.sources[_KEY]
    if is_changed and configured != days:
        invocation.say(f"To keep entries for {days:,} days, set {_KEY}: {days}. It is {configured} ({source}).")
        return False
    if not is_changed and has_registry(invocation, layout):
        invocation.say(
            f"The session registry is not changed: its entries are kept for {configured:,} days ({_KEY}). To change it, "
            "run: chatstore ttl set --layout general --days N."
        )
    return True
