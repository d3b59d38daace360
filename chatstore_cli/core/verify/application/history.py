"""What an application tells of a session: each message once, and figures that agree with it and with MongoDB."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from chatstore_cli.core.verify.application.run import ApplicationRun, Sent, brief, counted, lacks, read_json
from chatstore_cli.core.verify.checklist import Verdict, failed, passed, warned
from chatstore_cli.domain.checked_application import Turn
from chatstore_cli.domain.times import read_instant

LIMIT = 50
SOURCES = ("cache", "mongo")
_LISTS = ("messages", "items", "history")
_TEXTS = ("text", "content", "message")
_CLOCKS_DIFFER = timedelta(seconds=5)
"""Between two machines; a time further ahead is wrong."""


class Told(NamedTuple):
    """A message as the application tells it."""

    message_id: str | None
    role: str
    text: str
    instant: datetime | None
    source: Any


def history_verdict(run: ApplicationRun, sent: Sent) -> Verdict:
    """Ask for the session of a message that was sent, between two looks into MongoDB."""
    path = run.path(run.settings.history_path, sent.session_id)
    asked = f"GET {path}"
    query = {run.settings.session_key: sent.session_id, "limit": str(LIMIT)}
    before = run.stored(sent.session_id)
    answer = run.application.ask("GET", path, seconds=run.deadline, query=query)
    if answer.status == 404:
        # Is there no such path, or no such session? Without a session, only a path that is not there is not found.
        if path == run.settings.history_path and run.application.ask("GET", path, seconds=run.deadline).status != 404:
            hint = "A session that was recorded has a history, from the cache if not from MongoDB."
            return failed(f"{asked} does not know session {sent.session_id} (404)", hint)
        return lacks(run, asked, "verify.application.history_path")
    body = read_json(answer, asked)
    after = run.stored(sent.session_id)
    faults, remarks = list(history_faults(body, sent, before, after, run.clock())), list(history_remarks(body))
    if faults:
        hint = "Cache and MongoDB hold the same messages: merge them by message_id, and count what is shown."
        return failed("; ".join(faults), hint)
    messages = messages_of(body) or []
    sources = ", ".join(f"{number} {source}" for source, number in sorted(_sources(messages).items()))
    what = f"{counted(len(messages), 'message')}, each once ({sources or 'of no source'})"
    if remarks:
        return warned(f"{what}; {'; '.join(remarks)}", "Tell counts per source and last_persisted_at with a history.")
    return passed(f"{what}; last_persisted_at {brief(body['last_persisted_at'])}")


def history_faults(
    body: Any, sent: Sent, before: Sequence[Turn], after: Sequence[Turn], now: datetime
) -> Iterator[str]:
    """What is wrong, in words. `before` and `after` are what MongoDB held when the history was asked for and had come."""
    rows = _rows(body)
    if rows is None:
        keys = ", ".join(brief(key) for key in list(body)[:8]) if isinstance(body, dict) else brief(body)
        yield f"no list of messages under {', '.join(_LISTS)} (there is: {keys or 'nothing'})"
        return
    messages = [message for row in rows if (message := _told(row)) is not None]
    if len(messages) < len(rows):
        yield f"{len(rows) - len(messages)} of {len(rows)} messages have no role or no text"
    if len(rows) > LIMIT:
        yield f"{len(rows):,} messages, though limit was {LIMIT}"
    yield from _doubled(messages, sent)
    yield from _missing(messages, sent, before)
    if isinstance(body, dict):
        yield from _counts_faults(body, messages)
        yield from _persisted_faults(body, before, after, now)


def history_remarks(body: Any) -> Iterator[str]:
    """What is not told, in words."""
    for name in ("counts", "last_persisted_at"):
        if not isinstance(body, dict) or name not in body:
            yield f"no {name} is told"


def messages_of(body: Any) -> list[Told] | None:
    """The messages of an answer; None where there is no list of them."""
    rows = _rows(body)
    return None if rows is None else [message for row in rows if (message := _told(row)) is not None]


def _rows(body: Any) -> list[Any] | None:
    if isinstance(body, dict):
        return next((body[name] for name in _LISTS if isinstance(body.get(name), list)), None)
    return body if isinstance(body, list) else None


def _told(row: Any) -> Told | None:
    if not isinstance(row, dict):
        return None
    text = next((row[name] for name in _TEXTS if isinstance(row.get(name), str)), None)
    role = row.get("role")
    if text is None or not isinstance(role, str):
        return None
    named = next((row[name] for name in ("message_id", "id", "_id") if isinstance(row.get(name), str)), None)
    return Told(named, role, text, read_instant(row.get("created_at")), row.get("source"))


def _doubled(messages: Sequence[Told], sent: Sent) -> Iterator[str]:
    ids = Counter(message.message_id for message in messages if message.message_id is not None)
    by_id = [f"{brief(name)} {count} times" for name, count in ids.items() if count > 1]
    if by_id:
        yield f"doubled: message_id {', '.join(by_id[:3])}"
    # MongoDB's dates have milliseconds: the copy that comes from there may have lost the rest.
    same = Counter(
        (message.role, message.text, _milliseconds(message.instant)) for message in messages if message.instant
    )
    equal = [(role, count) for (role, _, _), count in same.items() if count > 1]
    copies = sum(message.role == "user" and sent.text in message.text for message in messages)
    if equal and not by_id:
        told = ", ".join(f"a message of {brief(role)} {count} times" for role, count in equal[:3])
        yield f"doubled: {told} with the same role, text and created_at, under ids of their own"
    elif copies > 1 and not by_id:
        yield f"doubled: the message that was sent is told {copies} times"


def _missing(messages: Sequence[Told], sent: Sent, before: Sequence[Turn]) -> Iterator[str]:
    if not any(message.role == "user" and sent.text in message.text for message in messages):
        yield "the message that was sent is missing"
    told = {(message.role, message.text) for message in messages}
    others = [turn for turn in before if not (turn.role == "user" and sent.text in turn.text)]
    absent = [turn for turn in others if (turn.role, turn.text) not in told]
    if absent:
        yield f"{len(absent)} of {len(before)} stored messages are missing, one of {brief(absent[0].role)}"


def _sources(messages: Sequence[Told]) -> Counter[str]:
    return Counter(message.source for message in messages if isinstance(message.source, str))


def _counts_faults(body: dict[str, Any], messages: Sequence[Told]) -> Iterator[str]:
    sources = _sources(messages)
    strange = [brief(message.source) for message in messages if message.source not in (None, *SOURCES)]
    if strange:
        yield f"source is {strange[0]} instead of cache or mongo"
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
    if not sources and messages:
        if sum(figures.values()) != len(messages):
            yield f"counts are {_told_counts(figures)}, and {len(messages)} messages are told, none with a source"
        return
    if not strange and any(figures[name] != sources[name] for name in SOURCES):
        yield f"counts are {_told_counts(figures)}, and the messages told are {_told_counts(sources)}"
    if _is_count(total := counts.get("total")) and total != len(messages):
        yield f"counts.total is {total}, and {len(messages)} messages are told"


def _persisted_faults(
    body: dict[str, Any], before: Sequence[Turn], after: Sequence[Turn], now: datetime
) -> Iterator[str]:
    if "last_persisted_at" not in body:
        return
    told = body["last_persisted_at"]
    if told is None:
        if before:
            yield f"last_persisted_at is null, though MongoDB has {len(before)} messages of the session"
        return
    moment = read_instant(told)
    if moment is None:
        yield f"last_persisted_at is {brief(told)}, which is no time"
        return
    if not after:
        yield f"last_persisted_at is {brief(told)}, though MongoDB has no message of the session"
    if moment > now + _CLOCKS_DIFFER:
        yield f"last_persisted_at is {brief(told)}, which is in the future"
    newest = max((turn.created_at for turn in before if turn.created_at is not None), default=None)
    if newest is not None and moment + _precision(told) < newest:
        stale = f"earlier than the newest stored message ({newest.isoformat()})"
        yield f"last_persisted_at is stale: {brief(told)} is {stale}"


def _precision(told: Any) -> timedelta:
    """How much of an instant its form may have cut off."""
    digits = re.search(r"\.(\d+)", told) if isinstance(told, str) else None
    if isinstance(told, str) and digits is None:
        return timedelta(seconds=1)
    return timedelta(milliseconds=1)


def _milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp() * 1000)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _told_counts(counts: Any) -> str:
    return ", ".join(f"{counts[name]} {name}" for name in SOURCES)
