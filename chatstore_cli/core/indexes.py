"""Compare stored indexes with those that the layouts need, plan the changes, and carry them out.

Keys and options are compared, not names. An index that an application created under its own name serves as well, and
the server rejects a second index with the same keys and options (codes 85 and 86).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from chatstore_cli.core.similar import did_you_mean
from chatstore_cli.domain.errors import Conflict, NotFound
from chatstore_cli.domain.indexes.findings import IndexAction, IndexFinding, IndexState, IndexStep, StoredIndex
from chatstore_cli.domain.indexes.ports import DocumentDates, IndexStore
from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.domain.quantities import quantity


def wanted_specs(specs: Iterable[IndexSpec], ttl_days: int) -> list[IndexSpec]:
    """The indexes that are needed. With `ttl_days` 0 messages never expire, so no TTL index is needed."""
    return [spec for spec in specs if ttl_days > 0 or spec.expire_after_seconds is None]


def check_indexes(
    specs: Sequence[IndexSpec], store: IndexStore, made: Sequence[IndexSpec] = (), left_out: Collection[str] = ()
) -> list[IndexFinding]:
    """The findings, collection by collection. If a collection does not exist, all its indexes are missing.

    `made` are all indexes that chatstore makes, whatever the settings. In the collections `left_out`, to which chatstore
    does not write, none is needed.
    """
    findings: list[IndexFinding] = []
    for collection in dict.fromkeys(spec.collection for spec in specs):
        needed, own = ([each for each in some if each.collection == collection] for some in (specs, [*specs, *made]))
        is_left_out = collection in left_out
        findings += compare([] if is_left_out else needed, store.stored(collection), [] if is_left_out else own)
    return findings


def compare(
    specs: Sequence[IndexSpec], stored: Sequence[StoredIndex], made: Sequence[IndexSpec] = ()
) -> list[IndexFinding]:
    """The findings of one collection. Each spec is ok, missing or drifted; every other stored index is unneeded or other.

    Several indexes can have the same keys and different options. An exact match comes first, then one that differs from
    the spec in other options than whether it is a TTL index.
    """
    unmatched = list(stored)
    matches: dict[int, StoredIndex] = {}
    for fits in (_is_exact, _is_of_kind, lambda *_: True):
        for position, spec in enumerate(specs):
            match = next((index for index in unmatched if index.keys == spec.keys and fits(spec, index)), None)
            if position not in matches and match is not None:
                matches[position] = match
                unmatched.remove(match)
    findings = [_compare_one(spec, matches.get(position)) for position, spec in enumerate(specs)]
    return findings + [_not_needed(index, stored, made) for index in unmatched]


def _is_exact(spec: IndexSpec, stored: StoredIndex) -> bool:
    return not differences(spec, stored)


def _is_of_kind(spec: IndexSpec, stored: StoredIndex) -> bool:
    return (spec.expire_after_seconds is None) == (stored.expire_after_seconds is None)


def _compare_one(spec: IndexSpec, stored: StoredIndex | None) -> IndexFinding:
    if stored is None:
        return IndexFinding(spec.collection, spec.name, spec.keys, IndexState.MISSING, spec.why, spec)
    different = differences(spec, stored)
    state = IndexState.DRIFTED if different else IndexState.OK
    detail = "; ".join(different) or spec.why
    return IndexFinding(spec.collection, stored.name, stored.keys, state, detail, spec, stored)


def differences(spec: IndexSpec, stored: StoredIndex) -> list[str]:
    """Each option in which a stored index with the keys of the spec differs, with the consequence."""
    different = []
    if spec.unique and not stored.unique:
        different.append("it is not unique: two documents can have the same value")
    if stored.unique and not spec.unique:
        different.append("it is unique: MongoDB rejects documents that are valid")
    if (spec.partial_filter or None) != (stored.partial_filter or None):
        different.append(
            f"its partial filter is {_filter_text(stored.partial_filter)}, and should be {_filter_text(spec.partial_filter)}"
        )
    if stored.sparse:
        different.append("it is sparse: it does not contain documents without the field")
    if spec.expire_after_seconds != stored.expire_after_seconds:
        different.append(_expiry_difference(spec.expire_after_seconds, stored.expire_after_seconds))
    if stored.hidden:
        different.append("it is hidden: no query uses it")
    if _compares_otherwise(spec, stored):
        different.append(f"its collation is {stored.collation}: chatstore compares bytes, so its queries cannot use it")
    return different


def _compares_otherwise(spec: IndexSpec, stored: StoredIndex) -> bool:
    """Whether an index orders texts in another way. A TTL index is of dates, which no collation affects."""
    return stored.collation is not None and spec.expire_after_seconds is None


def _filter_text(partial_filter: Any) -> str:
    return str(dict(partial_filter)) if partial_filter else "none"


def _expiry_difference(needed: int | None, stored: float | None) -> str:
    if needed is None:
        return f"it is a TTL index (expireAfterSeconds {stored:.15g}): it deletes documents"
    if stored is None:
        return "it is not a TTL index: MongoDB never deletes documents"
    return f"its expireAfterSeconds is {stored:.15g}, and should be {needed}"


def _not_needed(index: StoredIndex, stored: Sequence[StoredIndex], made: Sequence[IndexSpec]) -> IndexFinding:
    """An index that no layout needs: `unneeded` if its keys and its name are those of an index that chatstore makes."""
    is_own = any(index.keys == spec.keys and _is_name_of(spec, index.name) for spec in made)
    state = IndexState.UNNEEDED if is_own else IndexState.OTHER
    details = ["chatstore made it, and no layout needs it" if is_own else "chatstore did not ask for it"]
    if index.expire_after_seconds is not None:
        details.append(f"it deletes documents (expireAfterSeconds {index.expire_after_seconds:.15g})")
    elif not (index.unique or index.sparse or index.partial_filter or index.collation):
        longer = next((other.name for other in stored if _serves(other, index)), None)
        if longer:
            details.append(f"its keys are a prefix of {longer}, which serves the same queries")
    return IndexFinding(index.collection, index.name, index.keys, state, "; ".join(details), stored=index)


def _is_name_of(spec: IndexSpec, name: str) -> bool:
    """Whether chatstore gives an index of this spec that name: the spec's own, or with a number if that was taken."""
    prefix, _, number = name.rpartition("_")
    return name == spec.name or (prefix == spec.name and number.isdecimal())


def _serves(longer: StoredIndex, index: StoredIndex) -> bool:
    is_complete = not (longer.sparse or longer.partial_filter or longer.collation or longer.hidden)
    return is_complete and len(longer.keys) > len(index.keys) and longer.keys[: len(index.keys)] == index.keys


def is_finding(finding: IndexFinding) -> bool:
    """Whether it makes a check exit with status 6. An index that is not needed does not."""
    return finding.state in (IndexState.MISSING, IndexState.DRIFTED)


# --- plan and apply ---------------------------------------------------------------------------------------------------


def _names_of(finding: IndexFinding) -> tuple[str, str]:
    return finding.name, f"{finding.collection}.{finding.name}"


def named_indexes(findings: Sequence[IndexFinding], names: Sequence[str]) -> list[IndexFinding]:
    """The findings that are named to be dropped, each as INDEX or COLLECTION.INDEX.

    Raises NotFound, and Conflict if a name is not unique or is that of an index that a layout needs.
    """
    named = []
    for name in names:
        matches = [each for each in findings if each.stored and name in _names_of(each)]
        if not matches:
            names_of_all = (known for each in findings if each.stored for known in _names_of(each))
            meant = did_you_mean(name, names_of_all)
            hint = " ".join(filter(None, [meant, "To list the indexes, run: chatstore indexes check"]))
            raise NotFound(kind_of_thing="index", name=name, where=" in the collections of the layouts", hint=hint)
        if len(matches) > 1:
            places = " and ".join(f"{each.collection}.{each.name}" for each in matches)
            raise Conflict(what=f"Index {name!r} is in several collections: {places}.", hint="Name one of these.")
        if matches[0].spec is not None:
            raise Conflict(what=f"Index {name!r} of {matches[0].collection} is needed, and was not dropped.")
        named += matches
    return named


def plan_steps(
    findings: Sequence[IndexFinding],
    dates: DocumentDates,
    now: datetime,
    *,
    drop_unneeded: bool,
    dropped: Sequence[IndexFinding] = (),
) -> Iterator[IndexStep]:
    """The step that applying takes for each finding. Changes nothing; counts the documents that would be deleted at once.

    `dropped` are the indexes that were named to be dropped.
    """
    for finding in findings:
        if finding.state is IndexState.MISSING and finding.spec is not None:
            expiring = _expiring(finding.spec, None, dates, now)
            yield IndexStep(IndexAction.CREATE, finding, _expiring_text(expiring), expiring != 0, expiring)
        elif (
            finding.spec is not None
            and finding.stored is not None
            and _compares_otherwise(finding.spec, finding.stored)
        ):
            # It serves the application's own queries, and the server accepts both.
            yield IndexStep(IndexAction.CREATE, finding, f"{finding.detail}; {finding.name} remains beside it", False)
        elif finding.state is IndexState.DRIFTED and finding.spec is not None and finding.stored is not None:
            expiring = _expiring(finding.spec, finding.stored, dates, now)
            detail = "; ".join(filter(None, [finding.detail, _expiring_text(expiring)]))
            yield IndexStep(_cheapest(finding.spec, finding.stored), finding, detail, True, expiring)
        elif finding in dropped or (finding.state is IndexState.UNNEEDED and drop_unneeded):
            yield IndexStep(IndexAction.DROP, finding, finding.detail, True)


def _cheapest(spec: IndexSpec, stored: StoredIndex) -> IndexAction:
    """A collMod suffices to change the seconds of a TTL index, and to unhide an index."""
    seconds = None if stored.expire_after_seconds is None else spec.expire_after_seconds
    changed = replace(stored, expire_after_seconds=seconds, hidden=False)
    return IndexAction.REBUILD if differences(spec, changed) else IndexAction.MODIFY


def _expiring(spec: IndexSpec, stored: StoredIndex | None, dates: DocumentDates, now: datetime) -> int | None:
    """How many documents MongoDB would delete at once because of the change; None if they could not be counted."""
    if spec.expire_after_seconds is None:
        return 0
    stored_seconds = stored.expire_after_seconds if stored is not None and not stored.partial_filter else None
    if stored_seconds is not None and stored_seconds <= spec.expire_after_seconds:
        return 0
    cutoff = now - timedelta(seconds=spec.expire_after_seconds)
    return dates.count_before(spec.collection, spec.keys[0][0], cutoff, spec.partial_filter)


def _expiring_text(expiring: int | None) -> str:
    if expiring is None:
        return "MongoDB would delete documents at once; they could not be counted in time"
    return f"MongoDB would delete {quantity(expiring, 'document')} at once" if expiring else ""


def perform(step: IndexStep, store: IndexStore) -> None:
    """Carry out one step. Raises Conflict if values are not unique as they should be; the old index then remains."""
    spec, stored = step.finding.spec, step.finding.stored
    if step.action is IndexAction.CREATE and spec is not None:
        _create(spec, store)
    elif step.action is IndexAction.DROP and stored is not None:
        store.drop(stored.collection, stored.name)
    elif step.action is IndexAction.MODIFY and spec is not None and stored is not None:
        if spec.expire_after_seconds is not None and spec.expire_after_seconds != stored.expire_after_seconds:
            store.set_expiry(stored, spec.expire_after_seconds)
        if stored.hidden:
            store.unhide(stored)
    elif step.action is IndexAction.REBUILD and spec is not None and stored is not None:
        _rebuild(spec, stored, store)


def _create(spec: IndexSpec, store: IndexStore) -> None:
    """Create an index, unless another process has created it since the indexes were read."""
    try:
        store.create(spec, _free_name(spec, store))
    except Conflict as error:
        same_keys = (index for index in store.stored(spec.collection) if index.keys == spec.keys)
        if error.facts.get("duplicates") or not any(not differences(spec, index) for index in same_keys):
            raise


def _rebuild(spec: IndexSpec, stored: StoredIndex, store: IndexStore) -> None:
    """Build the new index beside the old one if the server accepts both, so that queries and uniqueness have no gap."""
    try:
        store.create(spec, _free_name(spec, store))
    except Conflict as error:
        if error.facts.get("duplicates"):
            raise
        store.drop(stored.collection, stored.name)  # the server accepts only one index with these keys
        store.create(spec, _free_name(spec, store))
    else:
        store.drop(stored.collection, stored.name)


def _free_name(spec: IndexSpec, store: IndexStore) -> str:
    taken = {index.name for index in store.stored(spec.collection)}
    names = [spec.name, *(f"{spec.name}_{number}" for number in range(2, len(taken) + 3))]
    return next(name for name in names if name not in taken)


def create_missing(specs: Sequence[IndexSpec], store: IndexStore, dates: DocumentDates, now: datetime) -> Iterator[str]:
    """Create the indexes that are missing. Yields a sentence for each one created, and for each difference that remains.

    A TTL index by which MongoDB would delete documents at once, or an unknown number of them, is not created here:
    `chatstore indexes apply` does that, after it shows the number.
    """
    for step in plan_steps(check_indexes(specs, store), dates, now, drop_unneeded=False):
        name = f"{step.finding.collection}.{step.finding.name}"
        if step.action is IndexAction.CREATE and not step.needs_yes:
            perform(step, store)
            yield f"Created index {name}."
        else:
            yield f"Not changed: index {name}: {step.detail}. See: chatstore indexes apply"
