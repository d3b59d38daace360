"""A random sample of general chats for `chatstore verify`, which shows low counters and ids of two users."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.general.ids import general_chat_id, owners_of
from chatstore_cli.domain.general_counters import CollidedChat, CollisionSample, LaggingCounter, NumberSample
from chatstore_cli.mongo.connection import Connection, Document, within_limit
from chatstore_cli.mongo.general.counters import CHAT_NUMBER, SEQUENCE, number_of
from chatstore_cli.mongo.general.own_chats import OWN_CHATS
from chatstore_cli.mongo.identifiers import addressable_id, id_values
from chatstore_cli.mongo.session_documents.document_samples import sampled
from chatstore_cli.mongo.session_documents.documents import MESSAGES_OR_EMPTY
from chatstore_cli.mongo.session_documents.shape import TENANT_FIELDS

Pair = tuple[str, str]
_OWNERS = dict.fromkeys((*TENANT_FIELDS, "user_id"), 1)


class MongoGeneralSamples:
    """The GeneralChatSamples of one database: `sample` random chats, and `seconds` for each command."""

    def __init__(self, connection: Connection, settings: Settings, *, sample: int, seconds: float) -> None:
        self._connection = connection
        names = settings.layouts.general
        self._chats = names.sessions
        self._counters = names.counters
        self._sample = sample
        self._milliseconds = max(1, int(seconds * 1000))

    def numbers(self) -> NumberSample | None:
        """Compare the highest number of each user's sampled chats with the counters, which are read after the chats."""
        rows = self._sampled({**_OWNERS, CHAT_NUMBER: 1})
        if rows is None:
            return None
        highest: dict[Pair, int] = {}
        for row in rows:
            for pair in _pairs(row):
                highest[pair] = max(highest.get(pair, 0), number_of(row.get(CHAT_NUMBER)))
        counted = self._counted(highest)
        if counted is None:
            return None
        lagging = [
            LaggingCounter(*pair, counted.get(pair), number)
            for pair, number in sorted(highest.items())
            if counted.get(pair, 0) < number
        ]
        return NumberSample(len(rows), lagging)

    def collisions(self) -> CollisionSample | None:
        """Chats whose id belongs to several pairs of tenant and user.

        Either the chat has messages of another pair's user, or the counter of another pair shows that this pair got the
        number too but has no chat with it: the platform lost the messages of a second pair that has another tenant.
        """
        speakers = {
            "$map": {
                "input": MESSAGES_OR_EMPTY,
                "in": {"$ifNull": ["$$this.metadata.user_id", "$$this.user_id"]},
            }
        }
        rows = self._sampled({**_OWNERS, "speakers": {"$setUnion": [speakers, []]}})
        if rows is None:
            return None
        ambiguous = [(row, *_other_owners(row)) for row in rows]
        counted = self._counted({pair for _, others, _ in ambiguous for pair in others})
        if counted is None:
            return None
        counting = {
            general_chat_id(*pair, number): pair
            for _, others, number in ambiguous
            for pair in others
            if counted.get(pair, 0) >= number
        }
        elsewhere = self._existing(counting)
        if elsewhere is None:
            return None
        collided = []
        for row, others, number in ambiguous:
            speaking = {addressable_id(speaker) for speaker in row["speakers"]}
            given = [
                pair
                for pair in others
                if pair[1] in speaking
                or ((chat_id := general_chat_id(*pair, number)) in counting and chat_id not in elsewhere)
            ]
            if given:
                collided.append(CollidedChat(row["_id"], tuple(given)))
        return CollisionSample(len(rows), collided)

    def _sampled(self, fields: Document) -> list[Document] | None:
        if self._chats is None:
            return []
        shape: list[Document] = [{"$project": fields}]
        limits = {"sample": self._sample, "milliseconds": self._milliseconds}
        return sampled(self._connection, self._chats, OWN_CHATS, shape, **limits)

    def _counted(self, pairs: Collection[Pair]) -> dict[Pair, int] | None:
        """The highest number of each pair's counters; None after the time limit."""
        if not pairs:
            return {}
        tenants, users = ({value for pair in pairs for value in id_values(pair[place])} for place in (0, 1))
        is_user = {"$in": list(users)}
        match: Document = {"$or": [{field: {"$in": list(tenants)}, "user_id": is_user} for field in TENANT_FIELDS]}
        counted: dict[Pair, int] = {}

        def read() -> dict[Pair, int]:
            for row in self._found(self._counters, match, {**_OWNERS, SEQUENCE: 1}):
                for pair in _pairs(row):
                    if pair in pairs:
                        counted[pair] = max(counted.get(pair, 0), number_of(row.get(SEQUENCE)))
            return counted

        return within_limit(f"reading counters of {self._counters}", read)

    def _existing(self, chat_ids: Collection[str]) -> set[str] | None:
        """Those of the ids that a chat has; None after the time limit."""
        if not chat_ids or self._chats is None:
            return set()
        name, match = self._chats, {"_id": {"$in": list(chat_ids)}}
        return within_limit(
            f"reading chats of {name}", lambda: {row["_id"] for row in self._found(name, match, {"_id": 1})}
        )

    def _found(self, collection: str, match: Document, fields: Document) -> Iterable[Document]:
        rows: Iterable[Document] = (
            self._connection.collection(collection).find(match, fields).max_time_ms(self._milliseconds)
        )
        return rows


def _pairs(row: Document) -> Iterator[Pair]:
    """The tenant and user of a document: two pairs if its two fields have different tenants."""
    user = addressable_id(row.get("user_id"))
    tenants = {addressable_id(row.get(field)) for field in TENANT_FIELDS}
    return ((tenant, user) for tenant in tenants if tenant is not None and user is not None)


def _other_owners(row: Document) -> tuple[list[Pair], int]:
    """The other pairs of tenant and user to whom the id of a document can belong, and the number in the id."""
    chat_id: Any = row["_id"]
    owners, number = owners_of(chat_id) if isinstance(chat_id, str) else ([], 0)
    own = set(_pairs(row))
    return [pair for pair in owners if pair not in own] if own & set(owners) else [], number
