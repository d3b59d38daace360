"""Where the documents of a layout keep the counters that the usage ledger raises, and how these are changed.

Beside the counters, a note has their values before the first report. A note marks that the counters come from the usage
ledger.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Context, Decimal
from typing import Any, Protocol

from bson import Decimal128
from bson.decimal128 import create_decimal128_context

from chatstore_cli.domain.usage import Usage
from chatstore_cli.mongo.session_documents.counters import FLAT_NAMES, IN_LEDGER, cost_of, count_of

Document = dict[str, Any]

COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
DECIMAL128: Context = create_decimal128_context()

_NAMES = (*COUNTS, "total_cost")
_TRACKING = "real_time_tracking"


class CounterPlace(Protocol):
    """The counters in one layout's documents. A change is what `guarded` takes: new values, empty if there are none."""

    fields: tuple[str, ...]
    """The fields of a document that the methods read."""

    def note(self, document: Document) -> Usage | Any:
        """The note: the counters before the first report. None without a note; the stored value if it is not an object."""

    def read(self, document: Document) -> Usage:
        """The counters. An invalid number is 0, and an invalid cost is unknown."""

    def noted(self, counters: Usage) -> Document:
        """The change that stores a note."""

    def raised(self, document: Document, least: Usage) -> Document:
        """The change that raises the counters to at least these numbers and lowers none of them."""

    def replaced(self, document: Document, counters: Usage) -> Document:
        """The change that sets the counters to these numbers. An unknown cost changes nothing."""

    def guarded(self, document: Document, change: Document) -> tuple[Document, Document]:
        """A filter that matches the document if its counters are as they were read, and the update of the counters."""


class TrackedCounters:
    """`real_time_tracking.tokens`, as workflows have them. `usage_*_final` follow in documents that have these fields."""

    fields: tuple[str, ...] = (_TRACKING, *FLAT_NAMES)

    def note(self, document: Document) -> Usage | Any:
        return _noted(_tracking(document).get(IN_LEDGER))

    def read(self, document: Document) -> Usage:
        return _counters(self._tokens(document), _NAMES)

    def noted(self, counters: Usage) -> Document:
        return {IN_LEDGER: _as_note(counters)}

    def raised(self, document: Document, least: Usage) -> Document:
        return self._changed(document, _raised(self._tokens(document), _NAMES, least))

    def replaced(self, document: Document, counters: Usage) -> Document:
        return self._changed(document, _replaced(self._tokens(document), _NAMES, counters))

    def guarded(self, document: Document, change: Document) -> tuple[Document, Document]:
        final = {name: change[name] for name in FLAT_NAMES if name in change}
        tracked = {name: value for name, value in change.items() if name not in final}
        same = {"_id": {"$eq": document["_id"]}, **{name: _as_read(document, name) for name in final}}
        tracking = document.get(_TRACKING)
        if not isinstance(tracking, dict):
            same[_TRACKING] = _as_read(document, _TRACKING)
            return same, {"$set": {**final, _TRACKING: tracked}}
        same |= {f"{_TRACKING}.{name}": _as_read(tracking, name) for name in ("tokens", IN_LEDGER)}
        return same, {"$set": {**final, **{f"{_TRACKING}.{name}": value for name, value in tracked.items()}}}

    def _changed(self, document: Document, new: Document) -> Document:
        tokens = {**self._tokens(document), **new}
        change: Document = {} if tokens == _tracking(document).get("tokens") else {"tokens": tokens}
        if any(name in document for name in FLAT_NAMES):
            change |= _raised(document, FLAT_NAMES, _counters(tokens, _NAMES))
        return change

    def _tokens(self, document: Document) -> Document:
        return _mapping(_tracking(document).get("tokens"))


class FinalCounters:
    """The four `usage_*_final`, as general chats have them, and a note of its own name.

    A cost of 0 beside tokens is unknown there: the platform stores 0.0 for every turn.
    """

    def __init__(self, note_field: str) -> None:
        self._note_field = note_field
        self.fields: tuple[str, ...] = (*FLAT_NAMES, note_field)

    def note(self, document: Document) -> Usage | Any:
        return _noted(document.get(self._note_field))

    def read(self, document: Document) -> Usage:
        counters = _counters(document, FLAT_NAMES)
        return counters._replace(cost=None) if any(counters[:3]) and not counters.cost else counters

    def noted(self, counters: Usage) -> Document:
        return {self._note_field: _as_note(counters)}

    def raised(self, document: Document, least: Usage) -> Document:
        return _raised(document, FLAT_NAMES, least)

    def replaced(self, document: Document, counters: Usage) -> Document:
        return _replaced(document, FLAT_NAMES, counters)

    def guarded(self, document: Document, change: Document) -> tuple[Document, Document]:
        same = {name: _as_read(document, name) for name in self.fields}
        return {"_id": {"$eq": document["_id"]}, **same}, {"$set": change}


def _counters(place: Mapping[str, Any], names: tuple[str, ...]) -> Usage:
    prompt, completion, total = (count_of(place.get(name)) or 0 for name in names[:3])
    return Usage(prompt, completion, total, cost_of(place.get(names[3])))


def _raised(place: Document, names: tuple[str, ...], least: Usage) -> Document:
    """New values for the counters that are below `least` or are not numbers."""
    counters = _counters(place, names)
    raised: Document = {
        name: max(count, wanted)
        for name, count, wanted in zip(names[:3], counters[:3], least[:3], strict=True)
        if count < wanted or count_of(place.get(name)) is None
    }
    if least.cost is not None and (counters.cost is None or counters.cost < least.cost):
        raised[names[3]] = _amount(place.get(names[3]), least.cost)
    return raised


def _replaced(place: Document, names: tuple[str, ...], counters: Usage) -> Document:
    replaced: Document = dict(zip(names[:3], counters[:3], strict=True))
    return replaced if counters.cost is None else {**replaced, names[3]: _amount(place.get(names[3]), counters.cost)}


def _amount(stored: Any, cost: Decimal) -> Any:
    """A cost as a double, as readers of this shape expect, or as a Decimal128 if the stored one is."""
    return Decimal128(DECIMAL128.plus(cost)) if isinstance(stored, Decimal128) else float(cost)


def _noted(value: Any) -> Any:
    return _counters(value, _NAMES) if isinstance(value, dict) else value


def _as_note(counters: Usage) -> Document:
    counts = dict(zip(COUNTS, counters[:3], strict=True))
    return counts if counters.cost is None else {**counts, "total_cost": float(counters.cost)}


def _as_read(fields: Document, name: str) -> Document:
    return {"$eq": fields[name]} if name in fields else {"$exists": False}


def _tracking(document: Document) -> Document:
    return _mapping(document.get(_TRACKING))


def _mapping(value: Any) -> Document:
    return value if isinstance(value, dict) else {}
