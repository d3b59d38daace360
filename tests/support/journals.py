"""Journals for tests: lines, files, the messages that must be stored in the end, and a flush in this process."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pymongo.database import Database

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.flush.options import FlushOptions
from chatstore_cli.core.flush.quarantine_retry import retry_quarantined
from chatstore_cli.core.flush.run import Flush
from chatstore_cli.core.flush.storing import StoringRules
from chatstore_cli.core.indexes import wanted_specs
from chatstore_cli.core.retry import RetryPolicy
from chatstore_cli.domain.journal import FlushResult, Progress
from chatstore_cli.domain.quarantine import RetryResult
from chatstore_cli.domain.times import Clock, utc_now
from chatstore_cli.mongo.connection import Connection
from chatstore_cli.mongo.messages.layout import index_specs
from chatstore_cli.mongo.messages.store import MongoMessageStore
from chatstore_cli.wiring.journals import named_journals

Key = tuple[str, str, str, str]
"""Session, role, text and instant: what makes two messages equal."""

START = datetime(2026, 3, 2, 11, 41, 0, 195769, tzinfo=UTC)
COLLECTION = "chat_messages"
FLUSH_KEYS = [
    "files", "lines", "stored", "already_stored", "quarantined", "already_quarantined", "skipped", "pending", "incomplete_journals", "altered", "seconds",
    "messages_per_second", "ignored_files",
]  # fmt: skip
"""The keys of the result of `flush-cache`, without its target."""


def instant(number: int, *, milliseconds: bool = False) -> str:
    """The canonical instant that many seconds after the start."""
    moment = START + timedelta(seconds=number)
    return (moment.replace(microsecond=195000) if milliseconds else moment).isoformat(timespec="microseconds")


def record(number: int = 0, session: str = "s1", **fields: Any) -> dict[str, Any]:
    """A journal line as the application writes it; a field that is None is left out."""
    made = {
        "session_id": session,
        "role": "user" if number % 2 == 0 else "assistant",
        "text": f"message {number}",
        "metadata": {},
        "vector_ids": [],
        "created_at": instant(number),
    } | fields
    return {name: value for name, value in made.items() if value is not None}


def as_line(fields: Any) -> bytes:
    """A JSON line with its line feed."""
    return json.dumps(fields, ensure_ascii=False).encode() + b"\n"


def as_lines(records: Iterable[Any]) -> bytes:
    """Several JSON lines."""
    return b"".join(as_line(fields) for fields in records)


def write_journal(path: Path, records: Iterable[Any]) -> Path:
    """A journal file of these records."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(as_lines(records))
    return path


def key_of_record(fields: dict[str, Any]) -> Key:
    """The key of a record. The standard library makes its time canonical."""
    moment = datetime.fromisoformat(fields["created_at"])
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return fields["session_id"], fields["role"], fields["text"], moment.isoformat(timespec="microseconds")


def stored(database: Database[dict[str, Any]], collection: str = COLLECTION) -> Counter[Key]:
    """How often each message is stored, whatever its `_id`. Read with the driver only."""
    return Counter(
        (row["session_id"], row["role"], row["text"], row["created_at"]) for row in database[collection].find()
    )


def settings_for(folder: Path, **changes: Any) -> Settings:
    """Settings whose state folder lies in `folder`."""
    from dataclasses import replace

    from chatstore_cli.config.settings import StateSettings

    return replace(Settings(), state=StateSettings(str(folder)), **changes)


def store_of(
    connection: Connection, ttl_days: int = 30, collection: str = COLLECTION, server_now: Clock = utc_now
) -> MongoMessageStore:
    """The store that flush-cache writes to."""
    specs = wanted_specs(index_specs(collection), ttl_days)
    return MongoMessageStore(connection, collection, specs, connection, server_now)


def flush(
    connection: Connection,
    *paths: Path,
    state: Path | None = None,
    store: Any = None,
    server_now: Clock = utc_now,
    on_progress: Callable[[Progress], None] = lambda _: None,
    said: list[str] | None = None,
    rules: StoringRules | None = None,
    **options: Any,
) -> FlushResult:
    """Flush journals inside this process, with lock, ledger and quarantine as the command has them."""
    chosen = FlushOptions(rules=rules or StoringRules(), **options)
    journals = named_journals(settings_for(state or Path("/nonexistent")), [str(path) for path in paths])
    made = Flush(
        store or store_of(connection, chosen.rules.ttl_days, server_now=server_now),
        chosen,
        say=(said if said is not None else []).append,
        on_progress=on_progress,
    )
    with journals.to_read() if chosen.rules.dry_run else journals.to_flush("test") as sources:
        return made.run(sources)


def retry_quarantine(connection: Connection, *paths: Path, state: Path | None = None) -> RetryResult:
    """`chatstore cache quarantine retry` inside this process."""
    journals = named_journals(settings_for(state or Path("/nonexistent")), [str(path) for path in paths])
    with journals.to_flush("test") as sources:
        return retry_quarantined(store_of(connection), sources, StoringRules(), RetryPolicy(0, say=lambda _: None))


def quarantined(*paths: Path, state: Path | None = None) -> list[Any]:
    """What is in quarantine."""
    return list(
        named_journals(settings_for(state or Path("/nonexistent")), [str(path) for path in paths]).quarantined()
    )


def forget(folder: Path) -> None:
    """Remove the ledger of a journal folder."""
    for file in (folder / ".chatstore").glob("ledger*"):
        file.unlink()


def coarse(key: Key) -> Key:
    """The key with its instant cut to the milliseconds that a BSON date keeps."""
    return (*key[:3], key[3][:23] + "000" + key[3][26:])


def wanted_of(lines: Iterable[dict[str, Any]]) -> Counter[Key]:
    """The messages of one journal: each line is one, but lines of a session with the same `message_id` are one message."""
    lines = list(lines)
    named = {(fields["session_id"], fields["message_id"]): fields for fields in lines if fields.get("message_id")}
    nameless = [fields for fields in lines if not fields.get("message_id")]
    return Counter(key_of_record(fields) for fields in [*named.values(), *nameless])


def missing_from(wanted: Counter[Key], exact: Counter[Key], in_milliseconds: Counter[Key]) -> Counter[Key]:
    """By coarse key: how many messages a flush must add to foreign rows, each of which is one message."""
    left = wanted - exact
    by_coarse: Counter[Key] = Counter()
    for key, count in left.items():
        by_coarse[coarse(key)] += count
    return by_coarse - in_milliseconds
