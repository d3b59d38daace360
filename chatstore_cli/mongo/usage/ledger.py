"""The usage ledger in MongoDB: rows of `usage_events`, and the counters in the documents of their sessions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pymongo.errors as driver
from bson import Decimal128
from bson.decimal128 import create_decimal128_context

from chatstore_cli.domain.errors import Conflict
from chatstore_cli.domain.usage_ledger import MOST_TOKENS, OPENING_RUN, Counters, LedgerRow, UsageSnapshot
from chatstore_cli.mongo.bson_values import whole_number
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.identifiers import is_storable
from chatstore_cli.mongo.usage.rows import (
    COUNTABLE,
    COUNTS,
    FIRST_MOMENT,
    LAST_MOMENT,
    counters_of,
    document_of,
    row_of,
    sound_count,
)
from chatstore_cli.mongo.workflow.documents import FACT_FIELDS, IN_LEDGER, to_session
from chatstore_cli.mongo.workflow.lookup import locate

_FLAT_FIELDS = tuple(f"usage_{name}_final" for name in (*COUNTS, "total_cost"))
_USAGE_FIELDS = ("chat_id", "real_time_tracking", "token_usage", "usage_summary", *_FLAT_FIELDS)
_TIMES = 100
_EXACTLY = create_decimal128_context()
_DUPLICATE = 11000
_NOTHING = Counters()


class MongoUsageLedger:
    """One collection of usage, one of the sessions that it belongs to."""

    def __init__(self, connection: Connection, collection: str, sessions: str) -> None:
        self._connection = connection
        self._rows = connection.collection(collection)
        self._sessions = connection.collection(sessions)

    # --- rows --------------------------------------------------------------------------------------------------------

    def insert(self, snapshots: Mapping[str, UsageSnapshot]) -> set[str]:
        """Store rows by their ids; gives the ids that were not there yet."""
        stored = set(snapshots)
        with driver_errors(f"storing usage in {self._rows.name}"):
            try:
                self._rows.insert_many([document_of(key, one) for key, one in snapshots.items()], ordered=False)
            except driver.BulkWriteError as error:
                refused = error.details.get("writeErrors", [])
                if any(one.get("code") != _DUPLICATE for one in refused) or error.details.get("writeConcernErrors"):
                    raise
                stored -= {one["op"]["_id"] for one in refused}
        return stored

    def sums(self, chat_id: str) -> Counters:
        """The sum, over run, agent and model, of the maxima of a chat's rows."""
        return dict(self._sums({"chat_id": chat_id, **COUNTABLE})).get(chat_id, Counters())

    def has_reports(self, chat_id: str, run: int) -> bool:
        """Whether anything was reported of a run."""
        with driver_errors(f"reading the usage of chat {chat_id!r} in {self._rows.name}"):
            return self._rows.find_one({"chat_id": chat_id, "run": run}, {"_id": 1}) is not None

    def chats(self) -> Iterator[tuple[str, Counters]]:
        """Every chat of the ledger with its sums."""
        return self._sums(COUNTABLE)

    def _sums(self, match: Document) -> Iterator[tuple[str, Counters]]:
        own = {"chat": "$chat_id", "run": "$run", "agent": "$agent", "model": "$model"}
        names = (*COUNTS, "cost")
        pipeline: list[Document] = [
            {"$match": match},
            {"$group": {"_id": own, **{name: {"$max": f"${name}"} for name in names}}},
        ]
        chat: Any = None
        found = Counters()
        with driver_errors(f"adding up {self._rows.name}"):
            for row in self._rows.aggregate([*pipeline, {"$sort": {"_id.chat": 1}}], allowDiskUse=True):
                if row["_id"].get("chat") != chat:
                    if isinstance(chat, str):
                        yield chat, found
                    chat, found = row["_id"].get("chat"), Counters()
                found = found.plus(counters_of(row, "cost"))
        if isinstance(chat, str):
            yield chat, found

    def discard(self, row_ids: Sequence[str]) -> None:
        """Take rows away again that were stored for a chat which is deleted."""
        with driver_errors(f"taking usage out of {self._rows.name}"):
            self._rows.delete_many({"_id": {"$in": list(row_ids)}})

    def mark_applied(self, row_ids: Sequence[str]) -> None:
        """Note that the counters include these rows."""
        with driver_errors(f"marking usage in {self._rows.name}"):
            self._rows.update_many({"_id": {"$in": list(row_ids)}}, {"$set": {"applied": True}})

    def rows(self, chat_id: str) -> Iterator[LedgerRow]:
        """A chat's rows by time, that of OPENING_RUN before one of the same instant."""
        if not is_storable(chat_id):
            return
        with driver_errors(f"reading the usage of chat {chat_id!r} in {self._rows.name}"):
            for document in self._rows.find({"chat_id": chat_id}).sort([("at", 1), ("run", 1), ("_id", 1)]):
                yield row_of(chat_id, document)

    # --- counters ----------------------------------------------------------------------------------------------------

    def raise_counters(self, chat_id: str, sums: Counters) -> bool:
        """Make the session's counters at least `sums`, and more where more than was carried over; False without a session."""
        return self._change(chat_id, sums, None)

    def set_counters(self, chat_id: str, seen: Counters, wanted: Counters) -> bool:
        """Replace counters that are still as they were seen; False where they are not."""
        return self._change(chat_id, wanted, seen)

    def counters(self, chat_id: str) -> Counters | None:
        """The counters of a session; None where there is no such session."""
        document = self._head(chat_id)
        return None if document is None else _now(document)

    def opening(self, chat_id: str) -> UsageSnapshot | None:
        """What the counters said before any report was counted in them, where that is more than was carried over."""
        document = self._head(chat_id, (*FACT_FIELDS, f"real_time_tracking.{IN_LEDGER}"))
        if document is None:
            return None
        session, (said, carried) = to_session(document), self._before_reports(chat_id, document)
        if (not any(said[:3]) and not said.cost) or _beyond(said, carried) == _NOTHING:
            return None
        at = session.updated_at or session.created_at or datetime.now(UTC)
        return UsageSnapshot(
            event_id=None,
            chat_id=chat_id,
            run=OPENING_RUN,
            tenant_id=session.tenant_id,
            user_id=session.user_id,
            workflow=session.workflow,
            agent=None,
            model=None,
            prompt_tokens=said.prompt_tokens,
            completion_tokens=said.completion_tokens,
            total_tokens=said.total_tokens,
            at=min(max(at, FIRST_MOMENT), LAST_MOMENT),
            cost=said.cost,
        )

    def open(self, row_id: str, opening: UsageSnapshot) -> None:
        """Store that row; where it is there, its numbers become the higher ones of both."""
        made = document_of(row_id, opening)
        numbers = {name: made.pop(name) for name in (*COUNTS, "cost") if made[name] is not None}
        made.pop("cost", None)
        # Also where it is in daily sums already: these are made of it again.
        update = {"$max": numbers, "$setOnInsert": made, "$unset": {"rolled_up": ""}}
        with driver_errors(f"storing usage in {self._rows.name}"):
            self._rows.update_one({"_id": row_id}, update, upsert=True)

    def _change(self, chat_id: str, sums: Counters, seen: Counters | None) -> bool:
        """Compare and set, as often as others get in between: what is written depends on what was read."""
        for _ in range(_TIMES):
            document = self._head(chat_id)
            if document is None:
                return False
            if seen is not None and _now(document) != seen:
                return False
            tracked = document.get("real_time_tracking")
            tokens = tracked.get("tokens") if isinstance(tracked, dict) else None
            wanted, changes = sums, Document()
            if not _is_in_ledger(document):
                said, carried = self._before_reports(chat_id, document)
                # An application may have raised them since: noted here, that is carried over afterwards.
                wanted = sums.plus(_beyond(said, carried)) if seen is None else sums
                changes[IN_LEDGER] = _stored(said)
            raised = _raised(tokens, wanted) if seen is None else _replaced(tokens, wanted)
            if raised != tokens:
                changes["tokens"] = raised
            if not changes:
                return True
            guard = {"_id": {"$eq": document["_id"]}}
            if isinstance(tracked, dict):
                there = {name: _as_read(tracked, name) for name in ("tokens", IN_LEDGER)}
                guard |= {f"real_time_tracking.{name}": value for name, value in there.items()}
                update = {f"real_time_tracking.{name}": value for name, value in changes.items()}
            else:
                guard["real_time_tracking"] = _as_read(document, "real_time_tracking")
                update = {"real_time_tracking": changes}
            with driver_errors(f"counting the usage of session {chat_id!r} in {self._sessions.name}"):
                if self._sessions.update_one(guard, {"$set": update}).matched_count:
                    return True
        raise Conflict(
            what=f"The counters of session {chat_id!r} changed whenever they were about to be written.",
            hint="The ledger has the usage. `chatstore usage reconcile` brings the counters up to it.",
        )

    def _before_reports(self, chat_id: str, document: Document) -> tuple[Counters, Counters]:
        """What the counters said before any report was counted in them, and what of it was carried over."""
        with driver_errors(f"reading the usage of chat {chat_id!r} in {self._rows.name}"):
            row = self._rows.find_one({"chat_id": chat_id, "run": OPENING_RUN})
            carried = Counters() if row is None else counters_of(row, "cost")
            tracked = document.get("real_time_tracking")
            noted = tracked.get(IN_LEDGER) if isinstance(tracked, dict) else None
            if noted is not None:
                return (counters_of(noted) if isinstance(noted, dict) else carried), carried
            # An application may have written the document anew, without the note.
            counted = self._rows.find_one({"chat_id": chat_id, "applied": {"$ne": False}}, {"_id": 1})
        return (_said(document) if counted is None else carried), carried

    def _head(self, chat_id: str, fields: Sequence[str] = _USAGE_FIELDS) -> Document | None:
        wanted = dict.fromkeys(fields, 1)
        found: Document | None = locate(self._sessions, chat_id, wanted, in_memory=self._connection.in_memory)
        return found


def _said(document: Document) -> Counters:
    """The usage that a session's document tells, in whichever variant; what nobody can have counted is nothing."""
    usage = to_session(document).usage
    cost = usage.cost if usage.cost is not None and 0 <= usage.cost <= MOST_TOKENS else None
    counts = [sound_count(count) for count in (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens)]
    prompt, completion, total = (count if count <= MOST_TOKENS else 0 for count in counts)
    return Counters(prompt, completion, total, cost)


def _is_in_ledger(document: Document) -> bool:
    tracked = document.get("real_time_tracking")
    return isinstance(tracked, dict) and tracked.get(IN_LEDGER) is not None


def _beyond(said: Counters, carried: Counters) -> Counters:
    """By how much the one goes beyond the other."""
    more = [max(0, one - other) for one, other in zip(said[:3], carried[:3], strict=True)]
    cost = None if said.cost is None else max(Decimal(), said.cost - (carried.cost or 0)) or None
    return Counters(more[0], more[1], more[2], cost)


def _stored(counters: Counters) -> Document:
    counts = dict(zip(COUNTS, counters[:3], strict=True))
    return counts if counters.cost is None else {**counts, "total_cost": float(counters.cost)}


def _now(document: Document) -> Counters:
    tracked = document.get("real_time_tracking")
    tokens = tracked.get("tokens") if isinstance(tracked, dict) else None
    return counters_of(tokens if isinstance(tokens, dict) else {})


def _as_read(place: Document, name: str) -> Document:
    return {"$eq": place[name]} if name in place else {"$exists": False}


def _raised(tokens: Any, wanted: Counters) -> Document:
    """The counters with those that are below `wanted` raised; other fields stay."""
    made = dict(tokens) if isinstance(tokens, dict) else {}
    now = counters_of(made)
    for name, is_now, should_be in zip(COUNTS, now[:3], wanted[:3], strict=True):
        if is_now < should_be or whole_number(made.get(name)) is None:
            made[name] = should_be
    if wanted.cost is not None and (now.cost is None or now.cost < wanted.cost):
        made["total_cost"] = _amount(made, wanted.cost)
    return made


def _replaced(tokens: Any, wanted: Counters) -> Document:
    made = {**(tokens if isinstance(tokens, dict) else {}), **dict(zip(COUNTS, wanted[:3], strict=True))}
    return made if wanted.cost is None else {**made, "total_cost": _amount(made, wanted.cost)}


def _amount(tokens: Document, cost: Decimal) -> Any:
    """A double, as readers of this shape expect; a Decimal128 where there was one."""
    exact = isinstance(tokens.get("total_cost"), Decimal128)
    return Decimal128(_EXACTLY.plus(cost)) if exact else float(cost)
