"""The indexes of searches: which there are, and the steps that create them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chatstore_cli.core.search.indexes import TextPlan, missing_specs, text_index_of, why_not_serving, with_search
from chatstore_cli.domain.byte_sizes import format_bytes
from chatstore_cli.domain.indexes.findings import IndexAction, IndexFinding, IndexState, IndexStep
from chatstore_cli.domain.quantities import quantity
from chatstore_cli.wiring.databases import THREADS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chatstore_cli.domain.indexes.specs import IndexSpec
    from chatstore_cli.wiring.stores import Stores


def text_plans(stores: Stores, layout: str | None = None) -> list[TextPlan]:
    """The text indexes in MongoDB of all layouts that have a document for each message, or of the named one."""
    from chatstore_cli.mongo.messages import search as messages
    from chatstore_cli.mongo.threads import search as threads

    plans = []
    if layout in (None, "messages") and stores.uses_mongo("messages"):
        plans.append(messages.search_plan(stores.settings.messages_collection))
    if layout in (None, THREADS) and stores.uses_mongo(THREADS):
        plans.append(threads.search_plan(stores.settings.layouts.threads.messages))
    return plans


def described(stores: Stores, findings: Iterable[IndexFinding], layout: str | None) -> list[IndexFinding]:
    """The findings, with the indexes of searches as `ok`."""
    return with_search(findings, text_plans(stores, layout))


def search_steps(stores: Stores, layout: str | None = None) -> tuple[list[IndexStep], list[str]]:
    """The steps that create the missing indexes of searches, and remarks on collections in which none is created."""
    steps: list[IndexStep] = []
    remarks: list[str] = []
    existing = stores.index_store.existing_collections()
    for plan in text_plans(stores, layout):
        if plan.collection not in existing:
            remarks.append(f"{plan.collection} does not exist yet, so it gets no index for chatstore search.")
            continue
        stored = stores.index_store.stored(plan.collection)
        index = text_index_of(stored)
        reason = None if index is None else why_not_serving(index, plan.fields)
        if index is not None and reason is not None:
            remarks.append(
                f"The text index {index.name} of {plan.collection} was not replaced, and chatstore search cannot use it: "
                f"{reason}. MongoDB allows one text index for each collection."
            )
        elif index is not None:
            remarks.append(f"chatstore search uses the text index {index.name} of {plan.collection}.")
        steps += [_step(stores, plan, spec) for spec in missing_specs(stored, plan)]
    return steps, remarks


def _step(stores: Stores, plan: TextPlan, spec: IndexSpec) -> IndexStep:
    from chatstore_cli.mongo.search.estimate import estimated_size

    detail = spec.why
    if spec.text_fields:
        documents, size = estimated_size(stores.connection, plan.collection, plan.fields)
        detail = (
            f"{spec.why}: about {format_bytes(size)} for {quantity(documents, 'document')}; every write takes longer"
        )
    finding = IndexFinding(spec.collection, spec.name, spec.keys, IndexState.MISSING, spec.why, spec)
    return IndexStep(IndexAction.CREATE, finding, detail, needs_yes=bool(spec.text_fields))
