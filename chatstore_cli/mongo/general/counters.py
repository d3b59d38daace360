"""Counters of general chats as they are stored, in every variant. Nothing here reads the database."""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NamedTuple

from bson import Decimal128

from chatstore_cli.mongo.bson_values import decimal_value, whole_number
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.identifiers import document_id_condition, id_text
from chatstore_cli.mongo.session_documents.shape import TENANT_FIELDS

SEQUENCE = "sequence"
"""The field of a counter with the number of the newest chat."""

CHAT_NUMBER = "general_sequence"
"""The field of a chat with its number."""

MAX_NUMBER = 2**53
"""The highest number of a chat. JSON readers keep no higher integer exactly."""

_BEYOND = 2**63


def variants_of_pair(tenant: str, user: str) -> list[Document]:
    """The conditions for the documents of a tenant and user: one for each tenant field, with ids of any type."""
    is_user = document_id_condition(user)
    return [{field: document_id_condition(tenant), "user_id": is_user} for field in TENANT_FIELDS]


def of_pair(tenant: str, user: str) -> Document:
    """The condition for the documents of a tenant and user in every variant."""
    return {"$or": variants_of_pair(tenant, user)}


def number_of(stored: Any) -> int:
    """A stored value, rounded down to a whole number; 0 for a negative number and for any other type.

    A text of digits counts as a number, because the numbers up to it were used and must not be used again.
    """
    if (whole := whole_number(stored)) is not None:
        return max(0, whole)
    number = stored.to_decimal() if isinstance(stored, Decimal128) else stored
    number = decimal_value(number) if isinstance(number, str) else number
    if isinstance(number, bool) or not isinstance(number, int | float | Decimal):
        return 0
    if number.is_nan() if isinstance(number, Decimal) else math.isnan(number):
        return 0
    return int(min(max(number, 0), _BEYOND))  # infinity has no integer


class Counter(NamedTuple):
    """A stored counter: its `_id`, the condition that its `sequence` is as it was read, and its number."""

    document_id: Any
    unchanged: Document
    number: int
    is_whole: bool
    """Whether the stored value is a whole number that is not negative, so that `$inc` gives the next one."""

    @classmethod
    def of(cls, document: Document) -> Counter:
        """The counter in a document."""
        stored = document.get(SEQUENCE)
        unchanged: Any = {"$eq": stored} if SEQUENCE in document else {"$exists": False}
        number = number_of(stored)
        return cls(
            document["_id"], {"_id": document["_id"], SEQUENCE: unchanged}, number, whole_number(stored) == number
        )


def leading(counters: Iterable[Counter]) -> Counter | None:
    """The counter with the highest number of a tenant and user; of equal counters always the same one.

    Writers raise this counter, and the merge of doubled counters keeps it, so they always choose the same counter.
    """
    return max(counters, key=lambda counter: (counter.number, id_text(counter.document_id)), default=None)
