"""From entries to stored messages: what is there already is recognised, the rest is stored, each exactly once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from chatstore_cli.core.flush.delivery import Delivery
from chatstore_cli.core.flush.occurrences import CountOnDisk
from chatstore_cli.core.retry import RetryPolicy
from chatstore_cli.domain.identity import content_key, to_millisecond
from chatstore_cli.domain.journal import Entry, key_of
from chatstore_cli.domain.message_store import Content, Inserted, MessageStore, Survey
from chatstore_cli.domain.times import Clock, format_instant, read_instant

Some = TypeVar("Some", bound=Delivery)
"""The kind of delivery; all of one Storer are of the same kind."""

_SESSIONS_KEPT = 100_000


@dataclass(frozen=True)
class StoringRules:
    """How messages are stored. `ttl_days` 0 keeps them for ever; `ttl_from_created` counts from their own time."""

    ttl_days: int = 30
    ttl_from_created: bool = False
    skip_expired: bool = False
    dry_run: bool = False


class Storer(Generic[Some]):
    """Stores batches of entries; several threads may call it at once."""

    def __init__(
        self,
        store: MessageStore,
        rules: StoringRules,
        retry_policy: RetryPolicy,
        clock: Clock,
        quarantine: Callable[[Some, Entry, str], None],
        missing: Callable[[Some, Entry], None] | None = None,
    ) -> None:
        """`missing` is told of each entry that a dry run would store, by several threads."""
        self._store = store
        self._rules = rules
        self._retry_policy = retry_policy
        self._clock = clock
        self._quarantine = quarantine
        self._missing = missing
        self._sessions: dict[str, Survey] = {}
        self._has_foreign: dict[str, bool] = {}
        self._foreign = CountOnDisk()
        self._foreign_known: set[tuple[int, str]] = set()
        self._seen_dry = CountOnDisk() if rules.dry_run else None
        self._lock = threading.Lock()

    def store(self, entries: Sequence[Entry], passes: Mapping[str, Some]) -> int:
        """Store those of the entries that are not there yet; gives how many were stored (or would be).

        A pass over a journal that turns out to need its beginning again is marked as abandoned.
        """
        if not entries:
            return 0
        surveys = self._surveys(entries)
        kinds = set(surveys.values())
        if kinds == {Survey.EMPTY}:
            return self._insert(list(entries), passes)
        if kinds == {Survey.STORED}:
            return self._insert(self._not_stored(entries, passes), passes)
        groups: dict[Survey, list[Entry]] = {kind: [] for kind in Survey}
        for entry in entries:
            groups[surveys[entry.fields["session_id"]]].append(entry)
        for entry in groups[Survey.DELETED]:
            self._skip(passes[entry.source])
        return self._insert(groups[Survey.EMPTY] + self._not_stored(groups[Survey.STORED], passes), passes)

    def store_new(self, entries: Sequence[Entry], passes: Mapping[str, Some]) -> int:
        """The same for entries that were recorded just now: storing them is tried first, and what is there already is
        looked at only then. Each time it is asked anew which sessions have been deleted on purpose.
        """
        if not entries:
            return 0
        self.forget_surveys()
        surveys = self._surveys(entries)
        wanted: list[Entry] = []
        with self._lock:
            for session, survey in surveys.items():
                if survey is Survey.EMPTY and len(self._has_foreign) < _SESSIONS_KEPT:
                    self._has_foreign.setdefault(session, False)
        for entry in entries:
            if surveys[entry.session_id] is Survey.DELETED:
                self._skip(passes[entry.source])
            else:
                wanted.append(entry)
        foreign = self._sessions_with_foreign_rows(wanted)
        return self._insert(
            [
                entry
                for entry in wanted
                if entry.session_id not in foreign or not self._is_foreign(passes[entry.source], entry)
            ],
            passes,
        )

    def forget_surveys(self) -> None:
        """What was found empty may have been filled by this very run: look again."""
        with self._lock:
            self._sessions.clear()

    def close(self) -> None:
        """Let go of all that was counted; it is not used after that."""
        self._foreign.close()
        if self._seen_dry is not None:
            self._seen_dry.close()
        self._quarantine = self._missing = _nobody  # else who made it would live until cycles are looked for

    def _surveys(self, entries: Sequence[Entry]) -> dict[str, Survey]:
        sessions = dict.fromkeys(entry.fields["session_id"] for entry in entries)
        with self._lock:
            known = {session: self._sessions[session] for session in sessions if session in self._sessions}
        unknown = [session for session in sessions if session not in known]
        if unknown:
            found = self._retry_policy.call(lambda: self._store.survey(unknown))
            with self._lock:
                if len(self._sessions) >= _SESSIONS_KEPT:
                    self._sessions.clear()
                for session, survey in found.items():
                    # Another batch may have found the session empty and be storing it: what was found first holds.
                    known[session] = self._sessions.setdefault(session, survey)
        return known

    def _not_stored(self, entries: Sequence[Entry], passes: Mapping[str, Some]) -> list[Entry]:
        nameless = [entry for entry in entries if entry.key]
        missing = self._nameless_not_stored(nameless)
        if len(nameless) < len(entries):
            missing += self._named_not_stored([entry for entry in entries if not entry.key], passes)
        if not missing:
            return missing
        foreign = self._sessions_with_foreign_rows(missing)
        return [
            entry
            for entry in missing
            if entry.session_id not in foreign or not self._is_foreign(passes[entry.source], entry)
        ]

    def _nameless_not_stored(self, entries: list[Entry]) -> list[Entry]:
        if not entries:
            return entries
        identities = [entry.identity for entry in entries]
        present = self._retry_policy.call(lambda: self._store.stored_ids(identities))
        return [entry for entry in entries if entry.identity not in present]

    def _named_not_stored(self, entries: list[Entry], passes: Mapping[str, Some]) -> list[Entry]:
        contents = self._contents_of(entries)
        missing: list[Entry] = []
        for entry in entries:
            content = contents.get(entry.identity)
            if content is None:
                missing.append(entry)
            elif not _is_content_of(entry, content):
                self._refuse_other_content(passes[entry.source], entry)
        return missing

    def _sessions_with_foreign_rows(self, missing: list[Entry]) -> set[str]:
        """Asked only for sessions in which something is missing: where all is stored, it does not matter."""
        sessions = list(dict.fromkeys(entry.session_id for entry in missing))
        with self._lock:
            unknown = [session for session in sessions if session not in self._has_foreign]
            known = {session for session in sessions if self._has_foreign.get(session)}
        if unknown:
            found = self._retry_policy.call(lambda: self._store.with_foreign_rows(unknown))
            with self._lock:
                if len(self._has_foreign) >= _SESSIONS_KEPT:
                    self._has_foreign.clear()
                self._has_foreign.update((session, session in found) for session in unknown)
            known |= found
        return known

    def _is_foreign(self, at: Some, entry: Entry) -> bool:
        """Whether another writer stored this message under its own id; each of its rows stands for one line."""
        if at.start is not None and to_millisecond(entry.instant) <= at.floor:
            # Lines before the place where this pass began may have been taken for those rows already: equal ones, or
            # others of the same millisecond for a row that keeps no more.
            at.abandoned = True
            return True
        with self._lock:
            if (at.number, entry.session_id) not in self._foreign_known:
                contents = self._retry_policy.call(lambda: list(self._store.foreign_contents(entry.session_id)))
                for content in contents:
                    self._foreign.add(_foreign_key(at, content.key, in_milliseconds=content.in_milliseconds))
                self._foreign_known.add((at.number, entry.session_id))
            named = b"" if entry.key else b"%d" % at.number + b"id" + entry.identity.encode()
            if named and self._foreign.add(named, by=0) > 0:
                return True  # the same message_id once more: the row that stood for it stands for this line too
            found = self._foreign.take(_foreign_key(at, key_of(entry), in_milliseconds=False)) or self._foreign.take(
                _foreign_key(at, _key_in_milliseconds(entry), in_milliseconds=True)
            )
            if found and named:
                self._foreign.add(named)
            return found

    def _insert(self, wanted: list[Entry], passes: Mapping[str, Some]) -> int:
        kept, expires = self._with_expiry(wanted, passes) if wanted else ([], [])
        if not kept:
            return 0
        if self._seen_dry is not None:
            return sum(self._would_store(entry, passes[entry.source], self._seen_dry) for entry in kept)
        inserted, attempts = self._retry_policy.call_counted(lambda: self._store.insert(kept, expires))
        for entry, reason in inserted.refused:
            self._quarantine(passes[entry.source], entry, reason)
        for entry in inserted.deleted:
            self._skip(passes[entry.source])
        return inserted.stored + self._after_duplicates(inserted, attempts, passes)

    def _with_expiry(
        self, wanted: list[Entry], passes: Mapping[str, Some]
    ) -> tuple[list[Entry], list[datetime | None]]:
        if self._rules.ttl_days == 0:
            return wanted, [None] * len(wanted)
        now = self._clock()
        keep_for = timedelta(days=self._rules.ttl_days)
        if not self._rules.ttl_from_created:
            return wanted, [now + keep_for] * len(wanted)
        kept: list[Entry] = []
        expires: list[datetime | None] = []
        for entry in wanted:
            moment = _later(datetime.fromisoformat(entry.instant), keep_for)
            if moment is not None and moment <= now:
                at = passes[entry.source]
                with at.lock:
                    at.expired += 1
                if self._rules.skip_expired:
                    self._skip(at)
                    continue
            kept.append(entry)
            expires.append(moment)
        return kept, expires

    def _after_duplicates(self, inserted: Inserted, attempts: int, passes: Mapping[str, Some]) -> int:
        """Ids that were there when storing: stored by our own lost attempt, by another writer, or by an equal line."""
        named = [entry for entry in inserted.duplicates if not entry.key]
        contents = self._contents_of(named)
        places: dict[str, object] = {}
        if attempts > 1 and inserted.duplicates:
            identities = [entry.identity for entry in inserted.duplicates]
            places = self._retry_policy.call(lambda: self._store.stored_places(identities))
        ours: set[str] = set()
        vanished: list[Entry] = []
        for entry in inserted.duplicates:
            if not entry.key and entry.identity not in contents:
                vanished.append(entry)  # its row was removed, or the collection dropped, in that moment
            elif not entry.key and not _is_content_of(entry, contents[entry.identity]):
                self._refuse_other_content(passes[entry.source], entry)
            elif places.get(entry.identity) == entry.number:
                ours.add(entry.identity)
        return len(ours) + (self._insert(vanished, passes) if vanished else 0)

    def _contents_of(self, named: list[Entry]) -> dict[str, Content]:
        if not named:
            return {}
        identities = [entry.identity for entry in named]
        return self._retry_policy.call(lambda: self._store.stored_contents(identities))

    def _would_store(self, entry: Entry, at: Some, seen: CountOnDisk) -> int:
        refusal = self._store.refusal_of(entry)
        if refusal is not None:
            self._quarantine(at, entry, refusal)
            return 0
        if self._missing is not None:
            self._missing(at, entry)
        with self._lock:
            first = seen.add(entry.identity.encode()) == 1
            same = seen.add(entry.identity.encode() + key_of(entry), by=int(first)) > 0
        if not same:
            self._refuse_other_content(at, entry)
        return first

    def _refuse_other_content(self, at: Some, entry: Entry) -> None:
        message_id = entry.fields.get("message_id")
        self._quarantine(at, entry, f"message_id {message_id!r} is stored already with other content")

    def _skip(self, at: Some) -> None:
        with at.lock:
            at.skipped += 1


def _nobody(*_: object) -> None:
    """Whom to tell once nobody is left."""


def _is_content_of(entry: Entry, content: Content | None) -> bool:
    fields = entry.fields
    if content == (fields["role"], entry.instant, fields["text"]):
        return True
    if content is None or (content[0], content[2]) != (fields["role"], fields["text"]):
        return False
    moment = read_instant(content[1])
    return moment is not None and format_instant(moment) == entry.instant


def _foreign_key(at: Delivery, key: bytes, *, in_milliseconds: bool) -> bytes:
    # Occurrences are counted within one pass over one journal, so each pass gets the foreign rows to itself.
    return b"%d" % at.number + (b"ms" if in_milliseconds else b"us") + key


def _key_in_milliseconds(entry: Entry) -> bytes:
    fields = entry.fields
    return content_key(entry.session_id, fields["role"], to_millisecond(entry.instant), fields["text"])


def _later(moment: datetime, by: timedelta) -> datetime | None:
    try:
        return moment + by
    except OverflowError:
        return None
