"""Compare indexes with what the layouts need, plan what to do about it, and do it.

Keys and options are compared, never names: an index that an application made under a name of its own is as good, and
asking for it a second time fails in the server (FACTS A: codes 85 and 86; FACTS B).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from chatstore_cli.domain.errors import Conflict
from chatstore_cli.domain.indexes.findings import (
    IndexAction,
    IndexFinding,
    IndexState,
    IndexStep,
    StoredIndex,
)
from chatstore_cli.domain.indexes.ports import DocumentDates, IndexStore
from chatstore_cli.domain.indexes.specs import IndexSpec


def wanted_specs(specs: Iterable[IndexSpec], ttl_days: int) -> list[IndexSpec]:
    """The indexes to have: with `ttl_days` 0 messages are kept for ever, so that no TTL index is needed (FACTS D)."""
    return [spec for spec in specs if ttl_days > 0 or spec.expire_after_seconds is None]


def check_indexes(specs: Sequence[IndexSpec], store: IndexStore) -> list[IndexFinding]:
    """What comparing finds, collection by collection. A collection that does not exist lacks all of its indexes."""
    findings: list[IndexFinding] = []
    for collection in dict.fromkeys(spec.collection for spec in specs):
        wanted = [spec for spec in specs if spec.collection == collection]
        findings += compare(wanted, store.stored(collection))
    return findings


def compare(specs: Sequence[IndexSpec], stored: Sequence[StoredIndex]) -> list[IndexFinding]:
    """Findings for one collection: each spec is ok, missing or drifted; what is left of the stored ones is unneeded."""
    left = list(stored)
    matched: dict[int, StoredIndex] = {}
    for exactly in (True, False):  # an exact match first: one key pattern may be there twice, with different options
        for position, spec in enumerate(specs):
            found = next(
                (one for one in left if one.keys == spec.keys and not (exactly and differences(spec, one))), None
            )
            if position not in matched and found is not None:
                matched[position] = found
                left.remove(found)
    findings = [_about(spec, matched.get(position)) for position, spec in enumerate(specs)]
    return findings + [_unneeded(one, stored) for one in left]


def _about(spec: IndexSpec, stored: StoredIndex | None) -> IndexFinding:
    if stored is None:
        return IndexFinding(spec.collection, spec.name, spec.keys, IndexState.MISSING, spec.why, spec)
    different = differences(spec, stored)
    state = IndexState.DRIFTED if different else IndexState.OK
    detail = "; ".join(different) or spec.why
    return IndexFinding(spec.collection, stored.name, stored.keys, state, detail, spec, stored)


def differences(spec: IndexSpec, stored: StoredIndex) -> list[str]:
    """In which options a stored index with the keys of the spec is not what it should be, and what that costs."""
    different = []
    if spec.unique and not stored.unique:
        different.append("it is not unique: two documents can have the same value")
    if stored.unique and not spec.unique:
        different.append("it is unique, which refuses good documents")
    if (spec.partial_filter or None) != (stored.partial_filter or None):
        different.append(
            f"its partial filter is {_or_none(stored.partial_filter)}, and should be {_or_none(spec.partial_filter)}"
        )
    if stored.sparse:
        different.append("it is sparse: it knows no document without the field")
    if spec.expire_after_seconds != stored.expire_after_seconds:
        different.append(_expiry_difference(spec.expire_after_seconds, stored.expire_after_seconds))
    if stored.hidden:
        different.append("it is hidden: no query uses it")
    if stored.collation is not None:
        different.append(f"its collation is {stored.collation}: ordinary queries cannot use it")
    return different


def _or_none(partial_filter: Any) -> str:
    return str(dict(partial_filter)) if partial_filter else "none"


def _expiry_difference(wanted: int | None, is_now: float | None) -> str:
    if wanted is None:
        return f"it is a TTL index (expireAfterSeconds {is_now:g}): it deletes documents"
    if is_now is None:
        return "it is no TTL index: nothing is ever deleted"
    return f"its expireAfterSeconds is {is_now:g}, and should be {wanted}"


def _unneeded(index: StoredIndex, stored: Sequence[StoredIndex]) -> IndexFinding:
    details = ["no layout asks for it; it may be the application's own"]
    if index.expire_after_seconds is not None:
        details.append(f"it deletes documents (expireAfterSeconds {index.expire_after_seconds:g})")
    elif not (index.unique or index.sparse or index.partial_filter or index.collation):
        longer = next((one.name for one in stored if _serves(one, index)), None)
        if longer:
            details.append(f"its keys are a prefix of {longer}, which serves the same queries")
    return IndexFinding(index.collection, index.name, index.keys, IndexState.UNNEEDED, "; ".join(details), stored=index)


def _serves(longer: StoredIndex, index: StoredIndex) -> bool:
    whole = not (longer.sparse or longer.partial_filter or longer.collation or longer.hidden)
    return whole and len(longer.keys) > len(index.keys) and longer.keys[: len(index.keys)] == index.keys


def is_finding(finding: IndexFinding) -> bool:
    """Whether it makes a check end with 6: an index too many does no harm."""
    return finding.state in (IndexState.MISSING, IndexState.DRIFTED)


# --- planning and doing ----------------------------------------------------------------------------------------------


def plan_steps(
    findings: Sequence[IndexFinding], dates: DocumentDates, now: datetime, *, drop_unneeded: bool
) -> Iterator[IndexStep]:
    """What applying would do about each finding. Nothing is done yet; expired documents are counted."""
    for finding in findings:
        if finding.state is IndexState.MISSING and finding.spec is not None:
            expiring = _expiring(finding.spec, None, dates, now)
            yield IndexStep(IndexAction.CREATE, finding, _about_expiring(expiring), expiring != 0, expiring)
        elif finding.state is IndexState.DRIFTED and finding.spec is not None and finding.stored is not None:
            expiring = _expiring(finding.spec, finding.stored, dates, now)
            detail = "; ".join(filter(None, [finding.detail, _about_expiring(expiring)]))
            yield IndexStep(_cheapest(finding.spec, finding.stored), finding, detail, True, expiring)
        elif finding.state is IndexState.UNNEEDED and drop_unneeded:
            yield IndexStep(IndexAction.DROP, finding, finding.detail, True)


def _cheapest(spec: IndexSpec, stored: StoredIndex) -> IndexAction:
    """A collMod is enough for the seconds of what is a TTL index already, and to show a hidden index (FACTS A)."""
    changed = StoredIndex(
        stored.collection,
        stored.name,
        stored.keys,
        stored.unique,
        stored.sparse,
        stored.partial_filter,
        stored.expire_after_seconds if stored.expire_after_seconds is None else spec.expire_after_seconds,
        hidden=False,
        collation=stored.collation,
    )
    return IndexAction.REBUILD if differences(spec, changed) else IndexAction.MODIFY


def _expiring(spec: IndexSpec, stored: StoredIndex | None, dates: DocumentDates, now: datetime) -> int | None:
    """How many documents the index would make the database delete at once, beyond those that it deletes anyway."""
    if spec.expire_after_seconds is None:
        return 0
    is_now = stored.expire_after_seconds if stored is not None and not stored.partial_filter else None
    if is_now is not None and is_now <= spec.expire_after_seconds:
        return 0
    cutoff = now - timedelta(seconds=spec.expire_after_seconds)
    return dates.count_before(spec.collection, spec.keys[0][0], cutoff, spec.partial_filter)


def _about_expiring(expiring: int | None) -> str:
    if expiring is None:
        return "how many documents MongoDB would delete at once could not be counted in time"
    return f"MongoDB would delete {expiring:,} documents at once" if expiring else ""


def perform(step: IndexStep, store: IndexStore) -> None:
    """Do one step. Raises Conflict where values are to be unique and are not; then the old index is still there."""
    spec, stored = step.finding.spec, step.finding.stored
    if step.action is IndexAction.CREATE and spec is not None:
        store.create(spec, _free_name(spec, store))
    elif step.action is IndexAction.DROP and stored is not None:
        store.drop(stored.collection, stored.name)
    elif step.action is IndexAction.MODIFY and spec is not None and stored is not None:
        if spec.expire_after_seconds is not None and spec.expire_after_seconds != stored.expire_after_seconds:
            store.set_expiry(stored, spec.expire_after_seconds)
        if stored.hidden:
            store.unhide(stored)
    elif step.action is IndexAction.REBUILD and spec is not None and stored is not None:
        _rebuild(spec, stored, store)


def _rebuild(spec: IndexSpec, stored: StoredIndex, store: IndexStore) -> None:
    """The new one beside the old one where the server takes both, so that queries and uniqueness have no gap."""
    try:
        store.create(spec, _free_name(spec, store))
    except Conflict as error:
        if error.facts.get("duplicates"):
            raise
        store.drop(stored.collection, stored.name)  # the server sees no difference but in options: one at a time
        store.create(spec, _free_name(spec, store))
    else:
        store.drop(stored.collection, stored.name)


def _free_name(spec: IndexSpec, store: IndexStore) -> str:
    taken = {index.name for index in store.stored(spec.collection)}
    names = [spec.name, *(f"{spec.name}_{number}" for number in range(2, len(taken) + 3))]
    return next(name for name in names if name not in taken)


def create_missing(specs: Sequence[IndexSpec], store: IndexStore, dates: DocumentDates, now: datetime) -> Iterator[str]:
    """Create the indexes that are missing. Yields a sentence for each one created, and for each difference that remains.

    A TTL index by which MongoDB would delete documents at once, or nobody knows how many, is not created: a command that
    shows the number first does that.
    """
    for step in plan_steps(check_indexes(specs, store), dates, now, drop_unneeded=False):
        name = f"{step.finding.collection}.{step.finding.name}"
        if step.action is IndexAction.CREATE and not step.needs_yes:
            perform(step, store)
            yield f"Created index {name}."
        else:
            yield f"Not changed: index {name}: {step.detail}. See: chatstore indexes apply"
