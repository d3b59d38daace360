"""Plans the merge of doubled counters of general chats before the unique indexes that reject them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from chatstore_cli.domain.errors import Overdue
from chatstore_cli.domain.general_counters import CounterMerges, DoubledCounters
from chatstore_cli.domain.indexes.findings import IndexAction, IndexFinding, IndexState, IndexStep
from chatstore_cli.domain.quantities import quantity

_SHOWN = 3
_AFTER_MERGES = "after the merges"


def with_merges(steps: Iterable[IndexStep], merges: CounterMerges) -> Iterator[IndexStep]:
    """The steps of `indexes apply`, and before each unique index a merge for each tenant and user with doubled counters.

    The index can be created only after the merges, so its step needs the same confirmation.
    """
    planned: set[str] = set()
    for step in steps:
        is_created = step.action in (IndexAction.CREATE, IndexAction.REBUILD)
        doubled = _not_planned(_doubled(step.finding, merges), planned) if is_created else []
        for each in doubled:
            planned.update(counter.counter_id for counter in each.deleted)
            yield IndexStep(IndexAction.MERGE, step.finding, each.plan, True, len(each.deleted), each)
        yield replace(step, needs_yes=True, detail=step.detail or _AFTER_MERGES) if doubled else step


def _not_planned(doubled: Iterable[DoubledCounters], planned: set[str]) -> list[DoubledCounters]:
    """The merges without the counters that another merge deletes, because their tenant is in both fields."""
    rest = [
        replace(each, deleted=tuple(counter for counter in each.deleted if counter.counter_id not in planned))
        for each in doubled
        if each.kept.counter_id not in planned
    ]
    return [each for each in rest if each.deleted]


def _doubled(finding: IndexFinding, merges: CounterMerges) -> list[DoubledCounters]:
    spec = finding.spec
    if spec is None or not spec.unique or spec.collection != merges.collection or finding.state is IndexState.OK:
        return []
    doubled = merges.doubled(spec.keys[0][0])
    if doubled is None:
        what = f"The search for doubled counters in {merges.collection} took too long."
        raise Overdue(what=what, hint="Increase verify.seconds_per_check.")
    return doubled


def doubled_notice(findings: Iterable[IndexFinding], merges: CounterMerges) -> str:
    """A notice about the doubled counters because of which a unique index cannot be created; empty if there are none."""
    try:
        pairs = [(each.tenant, each.user) for finding in findings for each in _doubled(finding, merges)]
    except Overdue as error:
        return error.as_text()
    if not pairs:
        return ""
    doubled = doubled_text(merges.collection, list(dict.fromkeys(pairs)))
    return f"{doubled}. The unique index can be created after a merge, which chatstore indexes apply plans."


def doubled_text(collection: str, pairs: Sequence[tuple[str, str]]) -> str:
    """Pairs of tenant and user with several counters, in words without a full stop; empty if there are none."""
    if not pairs:
        return ""
    named = ", ".join(f"{tenant}/{user}" for tenant, user in pairs[:_SHOWN])
    more = f", and {len(pairs) - _SHOWN:,} more" if len(pairs) > _SHOWN else ""
    verb = "has" if len(pairs) == 1 else "have"
    return f"{quantity(len(pairs), 'user')} {verb} more than one counter in {collection} ({named}{more})"
