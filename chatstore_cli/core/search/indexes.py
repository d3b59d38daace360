"""The indexes of a search: which are made, and which existing text index can serve. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chatstore_cli.domain.indexes.findings import IndexFinding, IndexState, StoredIndex
from chatstore_cli.domain.indexes.specs import IndexSpec

TEXT_INDEX = "search_text_idx"
OTHERS_INDEX = "search_other_idx"
UNUSED_FIELD = "chatstore_search_language"
"""The field in which MongoDB looks for the language of a document. No document has it: a language that the server does not
know would make it reject the document, and a known one would change how words are cut."""
TEXT_KEYS = (("_fts", "text"), ("_ftsx", 1))
"""The keys of a text index, as the server lists them."""
_VERSION = 3
"""The version of text indexes whose separators `core/search/words.py` has."""

Conditions = Mapping[str, Any]


@dataclass(frozen=True)
class TextPlan:
    """The search indexes of one collection.

    `fields` have the text of a usual message. `others` returns the condition of the messages that may have text elsewhere;
    its argument is the field that can change the language of a document. `order` are the keys of the second index, which
    has these messages.
    """

    collection: str
    fields: tuple[str, ...]
    order: tuple[tuple[str, int], ...]
    others: Callable[[str | None], Conditions]

    def text_spec(self) -> IndexSpec:
        """The text index."""
        return IndexSpec(
            self.collection, TEXT_INDEX, TEXT_KEYS, text_fields=self.fields, why="finds words for chatstore search"
        )

    def others_spec(self, language_field: str | None = None) -> IndexSpec:
        """The index of the messages whose text may be elsewhere."""
        return IndexSpec(
            self.collection,
            OTHERS_INDEX,
            self.order,
            partial_filter=self.others(language_field),
            why="finds messages with tool calls and parts for chatstore search",
        )


def why_not_serving(index: StoredIndex, fields: Iterable[str]) -> str | None:
    """Why a text index may miss messages that have a word; None if it has all."""
    options = index.text
    if options is None:
        return "it is not a text index"
    missing = [field for field in fields if "$**" not in options.fields and field not in options.fields]
    reasons = [
        (missing, f"it does not have the field {', '.join(missing)}"),
        (index.keys[0][0] != TEXT_KEYS[0][0], f"it begins with {index.keys[0][0]}"),
        (
            options.language != "none",
            f"its language is {options.language}, and words of a language are cut and left out",
        ),
        (options.version != _VERSION, f"its version is {options.version}, and {_VERSION} is needed"),
        (index.partial_filter, "it has only a part of the documents"),
        (index.hidden, "it is hidden"),
    ]
    return next((reason for is_so, reason in reasons if is_so), None)


def _language_field(index: StoredIndex) -> str | None:
    name = index.text.language_field if index.text is not None else UNUSED_FIELD
    return None if name == UNUSED_FIELD else name


def text_index_of(stored: Iterable[StoredIndex]) -> StoredIndex | None:
    """The text index; a collection has at most one."""
    return next((index for index in stored if index.text is not None), None)


def serving_index(
    stored: Sequence[StoredIndex], plan: TextPlan
) -> tuple[StoredIndex, StoredIndex, dict[str, Any]] | str | None:
    """The two indexes of a search and the condition of the second one; the reason as a sentence if the existing text
    index cannot serve; None without a text index."""
    index = text_index_of(stored)
    if index is None:
        return None
    reason = why_not_serving(index, plan.fields)
    if reason is not None:
        return f"The text index {index.name} of {index.collection} cannot serve: {reason}."
    spec = plan.others_spec(_language_field(index))
    others = next((each for each in stored if _is_exact(each, spec)), None)
    if others is None:
        hint = f"has no index {OTHERS_INDEX}, which the text index {index.name} needs beside it"
        return f"{index.collection} {hint}. To create it, run: chatstore indexes apply --search."
    return index, others, dict(spec.partial_filter or {})


def _is_exact(stored: StoredIndex, spec: IndexSpec) -> bool:
    is_plain = not (stored.sparse or stored.hidden or stored.collation or stored.unique)
    return stored.keys == spec.keys and stored.partial_filter == spec.partial_filter and is_plain


def missing_specs(stored: Sequence[StoredIndex], plan: TextPlan) -> list[IndexSpec]:
    """The search indexes to create. An existing text index is used if it can serve, and never replaced."""
    index = text_index_of(stored)
    if index is not None and why_not_serving(index, plan.fields) is not None:
        return []
    others = plan.others_spec(None if index is None else _language_field(index))
    missing = [] if index is not None else [plan.text_spec()]
    return missing if any(_is_exact(each, others) for each in stored) else [*missing, others]


def with_search(findings: Iterable[IndexFinding], plans: Sequence[TextPlan]) -> list[IndexFinding]:
    """The findings, of which those that belong to a search are `ok`, or `other` with the reason why they cannot serve."""
    by_collection = {plan.collection: plan for plan in plans}
    result = []
    for finding in findings:
        plan, stored = by_collection.get(finding.collection), finding.stored
        if plan is not None and stored is not None and finding.spec is None:
            finding = _described(finding, stored, plan)
        result.append(finding)
    return result


def _described(finding: IndexFinding, stored: StoredIndex, plan: TextPlan) -> IndexFinding:
    if stored.text is not None:
        reason = why_not_serving(stored, plan.fields)
        if reason is not None:
            return replace(finding, state=IndexState.OTHER, detail=f"chatstore search cannot use it: {reason}")
        return replace(finding, state=IndexState.OK, detail=plan.text_spec().why)
    if stored.name == OTHERS_INDEX and stored.keys == plan.order:
        return replace(finding, state=IndexState.OK, detail=plan.others_spec().why)
    return finding
