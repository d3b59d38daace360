"""How long MongoDB keeps documents, and the plan of a change.

There are two kinds of TTL index. On an expiry date that each document carries (`expires_at`, expireAfterSeconds 0),
the index deletes each document on its date. On another date, such as the `updated_at` of the session registry,
expireAfterSeconds is the time to keep documents, and a collMod changes it for all stored documents.
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
"""Dates that tell the age of a document. A TTL index on another field (a lock, a token) has nothing to do with retention."""


def retentions(
    specs: Mapping[str, Sequence[IndexSpec]], store: IndexStore, dates: DocumentDates, now: datetime
) -> Iterator[Retention]:
    """What MongoDB deletes from each layout's collections: by the TTL index that the layout needs, and by any other."""
    for layout, layout_specs in specs.items():
        for collection in dict.fromkeys(spec.collection for spec in layout_specs):
            needed = [spec for spec in layout_specs if spec.collection == collection]
            for finding in compare(needed, store.stored(collection)):  # as `indexes check` matches specs and indexes
                index = finding.stored if finding.stored is not None and _is_ttl(finding.stored) else None
                if finding.spec is not None and finding.spec.expire_after_seconds is not None:
                    is_own_date = not is_age(finding.spec)
                    yield _retention(layout, finding.spec, index, dates, now, carries_own_date=is_own_date)
                elif index is not None:
                    as_spec = _as_spec(index, _seconds(index))
                    yield _retention(layout, as_spec, index, dates, now, carries_own_date=False)


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
    days: int, specs: Mapping[str, Sequence[IndexSpec]], store: IndexStore, dates: DocumentDates, now: datetime
) -> Iterator[IndexStep]:
    """The steps that make MongoDB keep documents for `days` days; 0 keeps them forever. Changes nothing.

    A step needs confirmation if MongoDB would delete documents at once, if they could not be counted, or if an index is
    dropped or rebuilt.
    """
    for layout_specs in specs.values():
        for collection in dict.fromkeys(spec.collection for spec in layout_specs):
            stored = store.stored(collection)
            own = _ttl_specs(layout_specs, collection)
            others = [index for index in _others(layout_specs, collection, stored) if index.keys[0][0] in AGE_FIELDS]
            if days == 0:
                yield from _plan_to_keep(own, stored, others)
                continue
            needed = [replace(spec, expire_after_seconds=days * DAY_SECONDS) if is_age(spec) else spec for spec in own]
            targets = [*needed, *(_as_spec(index, days * DAY_SECONDS) for index in others)]
            relevant = [index for index in stored if any(index.keys == spec.keys for spec in targets)]
            for step in plan_steps(compare(targets, relevant), dates, now, drop_unneeded=False):
                harmless = step.action in (IndexAction.CREATE, IndexAction.MODIFY) and step.expiring == 0
                yield replace(step, needs_yes=not harmless)


def _plan_to_keep(
    own: Sequence[IndexSpec], stored: Sequence[StoredIndex], others: Sequence[StoredIndex]
) -> Iterator[IndexStep]:
    needed = [index for index in stored if _is_ttl(index) and any(index.keys == spec.keys for spec in own)]
    for finding in compare([], [*needed, *others]):
        detail = "MongoDB no longer deletes documents by this index"
        yield IndexStep(IndexAction.DROP, finding, detail, needs_yes=True)


def _ttl_specs(specs: Sequence[IndexSpec], collection: str) -> list[IndexSpec]:
    return [spec for spec in specs if spec.collection == collection and spec.expire_after_seconds is not None]


def _others(specs: Sequence[IndexSpec], collection: str, stored: Sequence[StoredIndex]) -> list[StoredIndex]:
    """The TTL indexes of the collection that no spec needs."""
    own = {spec.keys for spec in _ttl_specs(specs, collection)}
    return [index for index in stored if _is_ttl(index) and index.keys not in own]


def is_age(spec: IndexSpec) -> bool:
    """Whether a TTL index counts from a date such as the last change, instead of using an expiry date."""
    return bool(spec.expire_after_seconds)


def _is_ttl(index: StoredIndex) -> bool:
    return index.expire_after_seconds is not None


def _seconds(index: StoredIndex) -> int:
    """After how many seconds the index deletes; 0 for NaN, as old servers treat it."""
    seconds = index.expire_after_seconds
    return 0 if seconds is None or math.isnan(seconds) else int(seconds)


def _as_spec(index: StoredIndex, seconds: int) -> IndexSpec:
    """The index with other seconds."""
    return IndexSpec(index.collection, index.name, index.keys, index.unique, index.partial_filter, seconds)
