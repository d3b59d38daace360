"""Conditions of queries that compare texts byte by byte under any collation. Pure: nothing here reads the database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Document = dict[str, Any]

_ORDERING = ("$gt", "$gte", "$lt", "$lte")


def byte_exact(condition: Mapping[str, Any]) -> Document:
    """The condition with a byte-exact comparison beside each comparison with a text."""
    parts: list[Document] = []
    for name, wanted in condition.items():
        if name in ("$and", "$or", "$nor"):
            parts.append({name: [byte_exact(each) for each in wanted]})
        elif name.startswith("$"):
            parts.append({name: wanted})
        else:
            parts += _field_exactly(name, wanted)
    return parts[0] if len(parts) == 1 else {"$and": parts}


def _field_exactly(path: str, wanted: Any) -> Iterator[Document]:
    if isinstance(wanted, str):
        wanted = {"$eq": wanted}
    if not isinstance(wanted, dict) or not all(name.startswith("$") for name in wanted):
        yield {path: wanted}
        return
    for operator, operand in wanted.items():
        values = operand if operator in ("$in", "$nin") else [operand]
        if operator in ("$ne", "$nin") and any(isinstance(value, str) for value in values):
            # The collation would take more values for equal, so that too few documents remained.
            yield {"$expr": {"$not": [_any_equals(path, values)]}}
            continue
        yield {path: {operator: operand}}
        if operator in ("$eq", "$in") and any(isinstance(value, str) for value in values):
            yield {"$expr": _any_equals(path, values)}


def _any_equals(path: str, values: Sequence[Any]) -> Document:
    """An expression: whether the value at a path, or one in the array there, is one of these values byte by byte."""
    first, _, rest = path.partition(".")
    elements: Any = {"$cond": [{"$isArray": f"${first}"}, f"${first}", [f"${first}"]]}
    if rest:
        elements = {"$map": {"input": elements, "in": f"$$this.{rest}"}}
    is_one = {"$or": [_equals("$$value", value) for value in values]}
    return {"$anyElementTrue": [{"$map": {"input": elements, "as": "value", "in": is_one}}]}


def _equals(expression: str, value: Any) -> Document:
    if not isinstance(value, str):
        return {"$eq": [expression, {"$literal": value}]}
    is_text = {"$eq": [{"$type": expression}, "string"]}
    has_its_bytes = {
        "$and": [
            {"$eq": [{"$strLenBytes": expression}, len(value.encode())]},
            {"$eq": [{"$indexOfBytes": [expression, {"$literal": value}]}, 0]},
        ]
    }
    return {"$cond": [is_text, has_its_bytes, False]}


def texts_of(wanted: Any) -> list[str]:
    """The texts among the values that a condition on a field selects."""
    if isinstance(wanted, str):
        return [wanted]
    if not isinstance(wanted, dict):
        return []
    values = [wanted["$eq"]] if "$eq" in wanted else wanted.get("$in", [])
    return [value for value in values if isinstance(value, str)]


def has_range(condition: Any) -> bool:
    """Whether a condition compares by order with a text."""
    if isinstance(condition, dict):
        return any(
            (name in _ORDERING and isinstance(wanted, str)) or has_range(wanted) for name, wanted in condition.items()
        )
    return isinstance(condition, list) and any(map(has_range, condition))
