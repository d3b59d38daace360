"""An application's history of a session: each message once, with figures that agree with it and with MongoDB."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from chatstore_cli.core.verify.application.run import (
    ApplicationRun,
    SentMessage,
    brief,
    missing_endpoint,
    read_json,
)
from chatstore_cli.core.verify.checklist import Verdict, failed, passed, warned
from chatstore_cli.domain.checked_application import FoundMessage
from chatstore_cli.domain.quantities import quantity
from chatstore_cli.domain.times import read_instant

LIMIT = 50
SOURCES = ("cache", "mongo")
_LIST_KEYS = ("messages", "items", "history")
_TEXT_KEYS = ("text", "content", "message")
_CLOCK_DIFFERENCE = timedelta(seconds=5)
"""Between two machines; a time further ahead is a fault."""


class HistoryRow(NamedTuple):
    """A message in an application's history."""

    message_id: str | None
    role: str
    text: str
    created_at: datetime | None
    source: Any


def history_verdict(run: ApplicationRun, sent: SentMessage) -> Verdict:
    """The verdict on the history of a sent message's session, which is requested between two reads of MongoDB."""
    path = run.path(run.settings.history_path, sent.session_id)
    request = f"GET {path}"
    query = {run.settings.session_key: sent.session_id, "limit": str(LIMIT)}
    before = run.stored(sent.session_id)
    response = run.application.request("GET", path, seconds=run.deadline, query=query)
    if response.status == 404:
        # Without a session, a 404 means that the path does not exist; else it means an unknown session.
        is_one_path = path == run.settings.history_path
        if is_one_path and run.application.request("GET", path, seconds=run.deadline).status != 404:
            hint = "The history of a recorded session comes from the cache if MongoDB does not have it yet."
            return failed(f"{request} does not know session {sent.session_id} (404)", hint)
        return missing_endpoint(run, request, "verify.application.history_path")
    body = read_json(response, request)
    after = run.stored(sent.session_id)
    if faults := list(history_faults(body, sent, before, after, run.clock())):
        hint = "Cache and MongoDB hold the same messages: merge them by message_id, and count the merged ones."
        return failed("; ".join(faults), hint)
    rows = [row for item in _items(body) or [] if (row := _row(item)) is not None]
    sources = ", ".join(f"{number} {source}" for source, number in sorted(_sources(rows).items()))
    what = f"{quantity(len(rows), 'message')}, each once ({sources or 'no source'})"
    if missing := missing_fields(body):
        detail = f"{what}; {' and '.join(missing)} missing"
        return warned(detail, "A history should contain counts per source and last_persisted_at.")
    return passed(f"{what}; last_persisted_at {brief(body['last_persisted_at'])}")


def history_faults(
    body: Any, sent: SentMessage, before: Sequence[FoundMessage], after: Sequence[FoundMessage], now: datetime
) -> Iterator[str]:
    """What is wrong, in words. `before` and `after` are MongoDB's messages before the request and after the response."""
    items = _items(body)
    if items is None:
        keys = ", ".join(brief(key) for key in list(body)[:8]) if isinstance(body, dict) else brief(body)
        yield f"no list of messages under {', '.join(_LIST_KEYS)} (found: {keys or 'nothing'})"
        return
    rows = [row for item in items if (row := _row(item)) is not None]
    if len(rows) < len(items):
        yield f"{len(items) - len(rows)} of {len(items)} messages have no role or no text"
    if len(items) > LIMIT:
        yield f"{len(items):,} messages, though limit was {LIMIT}"
    yield from _duplicates(rows, sent)
    yield from _missing(rows, sent, before)
    if isinstance(body, dict):
        yield from _counts_faults(body, rows)
        yield from _persisted_faults(body, before, after, now)


def missing_fields(body: Any) -> list[str]:
    """The names of the optional fields that a history does not have."""
    return [name for name in ("counts", "last_persisted_at") if not isinstance(body, dict) or name not in body]


def _items(body: Any) -> list[Any] | None:
    if isinstance(body, dict):
        return next((body[name] for name in _LIST_KEYS if isinstance(body.get(name), list)), None)
    return body if isinstance(body, list) else None


def _row(item: Any) -> HistoryRow | None:
    if not isinstance(item, dict):
        return None
    text = next((item[name] for name in _TEXT_KEYS if isinstance(item.get(name), str)), None)
    role = item.get("role")
    if text is None or not isinstance(role, str):
        return None
    message_id = next((item[name] for name in ("message_id", "id", "_id") if isinstance(item.get(name), str)), None)
    return HistoryRow(message_id, role, text, read_instant(item.get("created_at")), item.get("source"))


def _duplicates(rows: Sequence[HistoryRow], sent: SentMessage) -> Iterator[str]:
    ids = Counter(row.message_id for row in rows if row.message_id is not None)
    repeated = [f"{brief(message_id)} {count} times" for message_id, count in ids.items() if count > 1]
    if repeated:
        yield f"duplicate message_id {', '.join(repeated[:3])}"
        return
    # MongoDB's dates have milliseconds: a copy from there may have lost the microseconds.
    contents = Counter((row.role, row.text, int(row.created_at.timestamp() * 1000)) for row in rows if row.created_at)
    equal = [f"a message of {brief(role)} {count} times" for (role, _, _), count in contents.items() if count > 1]
    copies = sum(row.role == "user" and sent.text in row.text for row in rows)
    if equal:
        yield f"duplicates: {', '.join(equal[:3])} with the same role, text and created_at, but different ids"
    elif copies > 1:
        yield f"duplicates: the sent message {copies} times"


def _missing(rows: Sequence[HistoryRow], sent: SentMessage, before: Sequence[FoundMessage]) -> Iterator[str]:
    if not any(row.role == "user" and sent.text in row.text for row in rows):
        yield "the sent message is missing"
    contents = {(row.role, row.text) for row in rows}
    others = [stored for stored in before if not (stored.role == "user" and sent.text in stored.text)]
    absent = [stored for stored in others if (stored.role, stored.text) not in contents]
    if absent:
        yield f"{len(absent)} of {len(before)} stored messages are missing, one of {brief(absent[0].role)}"


def _sources(rows: Sequence[HistoryRow]) -> Counter[str]:
    return Counter(row.source for row in rows if isinstance(row.source, str))


def _counts_faults(body: dict[str, Any], rows: Sequence[HistoryRow]) -> Iterator[str]:
    sources = _sources(rows)
    unknown = [brief(row.source) for row in rows if row.source not in (None, *SOURCES)]
    if unknown:
        yield f"source is {unknown[0]} instead of cache or mongo"
    if "counts" not in body:
        return
    counts = body["counts"]
    if not isinstance(counts, dict):
        yield f"counts is {brief(counts)} instead of an object"
        return
    figures = {name: counts.get(name, 0) for name in SOURCES}
    wrong = [f"counts.{name} is {brief(value)}" for name, value in figures.items() if not _is_count(value)]
    if wrong:
        yield f"{' and '.join(wrong)} instead of a number"
        return
    if not sources and rows:
        if sum(figures.values()) != len(rows):
            yield f"counts are {_figures(figures)}, but there are {len(rows)} messages, none with a source"
        return
    if not unknown and any(figures[name] != sources[name] for name in SOURCES):
        yield f"counts are {_figures(figures)}, but the messages are {_figures(sources)}"
    if _is_count(total := counts.get("total")) and total != len(rows):
        yield f"counts.total is {total}, but there are {len(rows)} messages"


def _persisted_faults(
    body: dict[str, Any], before: Sequence[FoundMessage], after: Sequence[FoundMessage], now: datetime
) -> Iterator[str]:
    if "last_persisted_at" not in body:
        return
    value = body["last_persisted_at"]
    if value is None:
        if before:
            yield f"last_persisted_at is null, though MongoDB has {len(before)} messages of the session"
        return
    instant = read_instant(value)
    if instant is None:
        yield f"last_persisted_at is {brief(value)}, which is not a time"
        return
    if not after:
        yield f"last_persisted_at is {brief(value)}, though MongoDB has no message of the session"
    if instant > now + _CLOCK_DIFFERENCE:
        yield f"last_persisted_at is {brief(value)}, which is in the future"
    newest = max((stored.created_at for stored in before if stored.created_at is not None), default=None)
    if newest is not None and instant + _precision(value) < newest:
        yield f"last_persisted_at is {brief(value)}, earlier than the newest stored message ({newest.isoformat()})"


def _precision(value: Any) -> timedelta:
    """How much of an instant its text may have cut off."""
    has_seconds_only = isinstance(value, str) and re.search(r"\.\d", value) is None
    return timedelta(seconds=1) if has_seconds_only else timedelta(milliseconds=1)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _figures(counts: Any) -> str:
    return ", ".join(f"{counts[name]} {name}" for name in SOURCES)
