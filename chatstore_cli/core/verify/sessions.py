"""The checks of `chatstore verify` that read a sample of sessions: numbers of messages, and sizes of documents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chatstore_cli.core.verify.checklist import Verdict, passed, shorten, skipped, too_slow, warned
from chatstore_cli.domain.indexes.ports import DocumentSamples

LARGE_DOCUMENT = 8 * 1024 * 1024
"""The size in bytes from which a document counts as large: half of MongoDB's limit."""


def sequence_verdict(samples: DocumentSamples, collections: Sequence[str], seconds: float) -> Verdict:
    """The messages of each session in these collections are numbered without gaps.

    A crash between counter and write leaves a gap.
    """
    checked = 0
    with_gaps: list[str] = []
    with_doubles: list[str] = []
    for collection in collections:
        sample = samples.sequences(collection)
        if sample is None:
            return too_slow(collection, seconds)
        checked += sample.looked_at
        with_gaps += sample.with_gaps
        with_doubles += sample.with_doubles
    faults = []
    if with_gaps:
        faults.append(f"sessions with gaps: {len(with_gaps):,} ({shorten(with_gaps)})")
    if with_doubles:
        faults.append(f"sessions with a number twice: {len(with_doubles):,} ({shorten(with_doubles)})")
    if faults:
        return warned(
            f"{checked:,} sessions were checked; {'; '.join(faults)}",
            "Messages may have been lost. Compare them with another copy, for example the application's log.",
        )
    if not checked:
        return skipped(f"no session with numbered messages in {' or '.join(collections)}")
    return passed(f"no gaps in {checked:,} checked sessions")


def size_verdict(
    samples: DocumentSamples, collections: Iterable[str], splittable: Sequence[str], seconds: float
) -> Verdict:
    """No document of these collections is near the limit of 16 MiB. Those of `splittable` collections can be split."""
    checked, large, can_split = 0, [], False
    for collection in collections:
        sample = samples.sizes(collection, LARGE_DOCUMENT)
        if sample is None:
            return too_slow(collection, seconds)
        checked += sample.looked_at
        large += [f"{name} in {where}: {size / 2**20:.1f} MiB" for where, name, size in sample.large]
        can_split |= bool(sample.large) and collection in splittable
    if large:
        hint = "MongoDB rejects documents over 16 MiB. Find out what makes these messages so large."
        if can_split:
            hint = "A session that reaches 16 MiB can no longer grow: run chatstore sessions split."
        return warned(f"above half of 16 MiB: {shorten(large)}", hint)
    if not checked:
        return skipped("the collections have no documents")
    return passed(f"none above half of 16 MiB in {checked:,} checked documents")
