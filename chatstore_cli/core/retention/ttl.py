"""How long the database keeps documents: what is the case, and planning a change.

Two kinds of TTL index are told apart (FACTS A, D). On a date that each document carries for this very purpose
(`expires_at`, expireAfterSeconds 0) the index only says "delete on that date". On a plain date, such as a `created_at`
that is a BSON date, expireAfterSeconds is the time to keep, and a collMod changes it for everything that is stored.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from chatstore_cli.core.indexes import compare, plan_steps
from chatstore_cli.domain.indexes.findings import IndexAction, IndexStep, StoredIndex
from chatstore_cli.domain.indexes.ports import DocumentDates, IndexStore
from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.domain.indexes.ttl import DAY_SECONDS, Retention

AGE_FIELDS = frozenset(
    {
        "created_at", "createdAt", "updated_at", "updatedAt", "last_updated", "last_updated_at", "last_activity",
        "timestamp",
    }
)  # fmt: skip
"""Dates that say how old a document is. A TTL index on another field (a lock, a token) is not about keeping messages."""


def retentions(
    specs: Mapping[str, Sequence[IndexSpec]], store: IndexStore, dates: DocumentDates, now: datetime
) -> Iterator[Retention]:
    """What is deleted from each layout's collections: by the TTL index that it asks for, and by any other."""
    for layout, wanted in specs.items():
        for collection in dict.fromkeys(spec.collection for spec in wanted):
            stored = store.stored(collection)
            for spec in _ttl_specs(wanted, collection):
                index = next((one for one in stored if _is_ttl(one) and one.keys == spec.keys), None)
                yield _retention(layout, spec, index, dates, now, carries_own_date=True)
            for index in _others(wanted, collection, stored):
                yield _retention(layout, _as_spec(index, _seconds(index)), index, dates, now, carries_own_date=False)


def _retention(
    layout: str,
    spec: IndexSpec,
    index: StoredIndex | None,
    dates: DocumentDates,
    now: datetime,
    *,
    carries_own_date: bool,
) -> Retention:
    collection, field = spec.collection, spec.keys[0][0]
    kept = timedelta(seconds=(spec.expire_after_seconds or 0) if index is None else _seconds(index))
    upcoming = dates.next_after(collection, field, now - kept)
    return Retention(
        layout=layout,
        collection=collection,
        field=field,
        carries_own_date=carries_own_date,
        index=index,
        documents=dates.documents(collection),
        dates=dates.field_types(collection, field),
        expired=dates.count_before(collection, field, now - kept, spec.partial_filter),
        next_expiry=None if upcoming is None else upcoming + kept,
    )


def plan_retention(
    days: int,
    specs: Mapping[str, Sequence[IndexSpec]],
    store: IndexStore,
    dates: DocumentDates,
    now: datetime,
) -> Iterator[IndexStep]:
    """What keeping documents for `days` days takes, index by index; 0 keeps them for ever. Nothing is done yet.

    A step needs a yes where documents would be deleted at once, where nobody could count them, or where an index is
    dropped or built again.
    """
    for wanted in specs.values():
        for collection in dict.fromkeys(spec.collection for spec in wanted):
            stored = store.stored(collection)
            own = _ttl_specs(wanted, collection)
            others = [index for index in _others(wanted, collection, stored) if index.keys[0][0] in AGE_FIELDS]
            if days == 0:
                yield from _plan_to_keep(own, stored, others)
                continue
            targets = [*own, *(_as_spec(index, days * DAY_SECONDS) for index in others)]
            relevant = [one for one in stored if any(one.keys == spec.keys for spec in targets)]
            for step in plan_steps(compare(targets, relevant), dates, now, drop_unneeded=False):
                harmless = step.action in (IndexAction.CREATE, IndexAction.MODIFY) and step.expiring == 0
                yield replace(step, needs_yes=not harmless)


def _plan_to_keep(
    own: Sequence[IndexSpec], stored: Sequence[StoredIndex], others: Sequence[StoredIndex]
) -> Iterator[IndexStep]:
    ours = [one for one in stored if _is_ttl(one) and any(one.keys == spec.keys for spec in own)]
    for finding in compare([], [*ours, *others]):
        detail = "MongoDB deletes nothing more by it"
        yield IndexStep(IndexAction.DROP, finding, detail, needs_yes=True)


def _ttl_specs(specs: Sequence[IndexSpec], collection: str) -> list[IndexSpec]:
    return [spec for spec in specs if spec.collection == collection and spec.expire_after_seconds is not None]


def _others(specs: Sequence[IndexSpec], collection: str, stored: Sequence[StoredIndex]) -> list[StoredIndex]:
    """The TTL indexes of the collection that no spec asks for."""
    own = {spec.keys for spec in _ttl_specs(specs, collection)}
    return [index for index in stored if _is_ttl(index) and index.keys not in own]


def _is_ttl(index: StoredIndex) -> bool:
    return index.expire_after_seconds is not None


def _seconds(index: StoredIndex) -> int:
    """After how many seconds it deletes; 0 for what is no number, which old servers took for 0."""
    seconds = index.expire_after_seconds
    return 0 if seconds is None or math.isnan(seconds) else int(seconds)


def _as_spec(index: StoredIndex, seconds: int) -> IndexSpec:
    """The index as it is, but for the seconds."""
    return IndexSpec(index.collection, index.name, index.keys, index.unique, index.partial_filter, seconds)
