"""Stores entries as messages, each exactly once: messages that are already stored are recognised."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from chatstore_cli.core.flush.occurrences import CountOnDisk
from chatstore_cli.core.flush.source_state import SourceState
from chatstore_cli.core.lru import LruMap
from chatstore_cli.core.retry import RetryPolicy
from chatstore_cli.domain.identity import content_key, to_millisecond
from chatstore_cli.domain.journal import Entry, key_of
from chatstore_cli.domain.message_store import Content, Inserted, MessageStore, Survey
from chatstore_cli.domain.times import format_instant, read_instant
from chatstore_cli.domain.tombstones import Tombstone, is_covered

_SESSIONS_KEPT = 100_000


@dataclass(frozen=True)
class StoringRules:
    """How messages are stored, and for how many days. `ttl_days` 0 keeps them forever.

    The days count from now by the server's clock, or with `ttl_from_created` from each message's own time. With
    `skip_expired`, messages that have expired are left out.
    """

    ttl_days: int = 30
    ttl_from_created: bool = False
    skip_expired: bool = False
    dry_run: bool = False


class Storer:
    """Stores batches of entries. Several threads may call it at once."""

    def __init__(
        self,
        store: MessageStore,
        rules: StoringRules,
        retry_policy: RetryPolicy,
        missing: Callable[[SourceState, Entry], None] | None = None,
        on_deleted: Callable[[str, Tombstone], object] | None = None,
    ) -> None:
        """Both may be called by several threads at once: `missing` with each entry that a dry run would store, `on_deleted`
        with each session of the entries that was deleted on purpose, and its tombstone.
        """
        self._store = store
        self._rules = rules
        self._retry_policy = retry_policy
        self._missing = missing
        self._on_deleted = on_deleted
        self._surveys: LruMap[str, Survey] = LruMap(_SESSIONS_KEPT)
        self._has_foreign: LruMap[str, bool] = LruMap(_SESSIONS_KEPT)
        self._foreign = CountOnDisk()
        self._foreign_counted: set[tuple[int, str]] = set()
        self._seen_in_dry_run = CountOnDisk() if rules.dry_run else None
        self._lock = threading.Lock()

    def store(self, entries: Sequence[Entry], states: Mapping[str, SourceState]) -> int:
        """Store the entries that are not stored yet. Returns how many were stored (or would be, in a dry run).

        `states` has the state of each entry's source. It is marked if the source has to be read again from its start.
        """
        if not entries:
            return 0
        surveys = self._survey(entries)
        entries = self._without_covered(entries, surveys, states)
        filled = {session for session, survey in surveys.items() if survey.has_rows}
        if not filled:
            return self._insert(list(entries), states)
        if len(filled) == len(surveys):
            return self._insert(self._not_stored(entries, states), states)
        fresh: list[Entry] = []
        others: list[Entry] = []
        for entry in entries:
            (others if entry.fields["session_id"] in filled else fresh).append(entry)
        return self._insert(fresh + self._not_stored(others, states), states)

    def store_new(self, entries: Sequence[Entry], states: Mapping[str, SourceState]) -> int:
        """Store entries that were recorded just now, as `store` does. Returns how many were stored.

        They are inserted first, and what is already stored is looked up only if an id exists. Each call asks the
        database again which sessions have been deleted on purpose.
        """
        if not entries:
            return 0
        self.forget_surveys()
        surveys = self._survey(entries)
        with self._lock:
            for session, survey in surveys.items():
                if not survey.has_rows and session not in self._has_foreign:
                    self._has_foreign.put(session, False)
        kept = self._without_covered(entries, surveys, states)
        return self._insert(self._without_foreign(list(kept), states), states)

    def forget_surveys(self) -> None:
        """Ask the database about every session again: this very run may have filled one that was empty."""
        self._surveys.clear()

    def close(self) -> None:
        """Release what was counted. The Storer is not used after that."""
        self._foreign.close()
        if self._seen_in_dry_run is not None:
            self._seen_in_dry_run.close()

    def _survey(self, entries: Sequence[Entry]) -> dict[str, Survey]:
        sessions = dict.fromkeys([entry.fields["session_id"] for entry in entries])
        known = {session: survey for session in sessions if (survey := self._surveys.get(session)) is not None}
        unknown = [session for session in sessions if session not in known]
        if unknown:
            answer = self._retry_policy.call(lambda: self._store.survey(unknown))
            with self._lock:
                for session, survey in answer.items():
                    # Another batch may have found the session empty and be storing it: the first answer counts.
                    known[session] = self._surveys.get(session) or survey
                    self._surveys.put(session, known[session])
        return known

    def _without_covered(
        self, entries: Sequence[Entry], surveys: Mapping[str, Survey], states: Mapping[str, SourceState]
    ) -> Sequence[Entry]:
        """The entries without those that were deleted with their session. Costs nothing if no session was deleted."""
        deleted = [session for session, survey in surveys.items() if survey.was_deleted]
        if not deleted:
            return entries
        tombstones = self._tombstones(deleted)
        kept: list[Entry] = []
        covered: list[Entry] = []
        for entry in entries:
            (covered if is_covered(tombstones, entry) else kept).append(entry)
        if covered and not self._rules.dry_run:
            # A process that was killed between storing them and looking up the tombstone has left their rows.
            self._retry_policy.call(lambda: self._store.remove_covered(covered, tombstones))
        for entry in covered:
            states[entry.source].count_covered()
        return kept

    def _tombstones(self, sessions: Collection[str]) -> dict[str, Tombstone]:
        tombstones = self._retry_policy.call(lambda: self._store.tombstones(sessions))
        if self._on_deleted is not None:
            for session, tombstone in tombstones.items():
                self._on_deleted(session, tombstone)
        return tombstones

    def _not_stored(self, entries: Sequence[Entry], states: Mapping[str, SourceState]) -> list[Entry]:
        missing = nameless = [entry for entry in entries if entry.key]
        if nameless:
            identities = [entry.identity for entry in nameless]
            present = self._retry_policy.call(lambda: self._store.stored_ids(identities))
            missing = [entry for entry in nameless if entry.identity not in present]
        if len(nameless) < len(entries):
            missing += self._named_not_stored([entry for entry in entries if not entry.key], states)
        return self._without_foreign(missing, states)

    def _named_not_stored(self, entries: list[Entry], states: Mapping[str, SourceState]) -> list[Entry]:
        contents = self._contents_of(entries)
        missing: list[Entry] = []
        for entry in entries:
            content = contents.get(entry.identity)
            if content is None:
                missing.append(entry)
            elif not _is_content_of(entry, content):
                _refuse_other_content(states[entry.source], entry)
        return missing

    def _without_foreign(self, missing: list[Entry], states: Mapping[str, SourceState]) -> list[Entry]:
        """The entries without those that another writer stored under its own ids."""
        if not missing:
            return missing
        foreign = self._sessions_with_foreign_rows(missing)
        return [
            entry
            for entry in missing
            if entry.session_id not in foreign or not self._is_foreign(states[entry.source], entry)
        ]

    def _sessions_with_foreign_rows(self, missing: list[Entry]) -> set[str]:
        """Those of the entries' sessions that have rows of other writers."""
        sessions = dict.fromkeys(entry.session_id for entry in missing)
        known = {session: has for session in sessions if (has := self._has_foreign.get(session)) is not None}
        unknown = [session for session in sessions if session not in known]
        foreign = {session for session, has in known.items() if has}
        if unknown:
            answer = self._retry_policy.call(lambda: self._store.with_foreign_rows(unknown))
            for session in unknown:
                self._has_foreign.put(session, session in answer)
            foreign |= answer
        return foreign

    def _is_foreign(self, state: SourceState, entry: Entry) -> bool:
        """Whether another writer stored this message under its own id; each of its rows stands for one line."""
        if to_millisecond(entry.instant) <= state.floor:
            # Lines before the place where reading began may have used up those rows already: equal lines, or other
            # lines of the same millisecond if a row has no more digits.
            state.needs_rereading = True
            return True
        with self._lock:
            self._count_foreign(state, entry.session_id)
            named = b"" if entry.key else b"%d" % state.number + b"id" + entry.identity.encode()
            if named and self._foreign.add(named, by=0) > 0:
                return True  # the same message_id once more: the row that stood for it stands for this line too
            is_foreign = self._foreign.take(_foreign_key(state, key_of(entry), in_milliseconds=False)) or (
                self._foreign.take(_foreign_key(state, _key_in_milliseconds(entry), in_milliseconds=True))
            )
            if is_foreign and named:
                self._foreign.add(named)
            return is_foreign

    def _count_foreign(self, state: SourceState, session: str) -> None:
        if (state.number, session) in self._foreign_counted:
            return
        for content in self._retry_policy.call(lambda: list(self._store.foreign_contents(session))):
            self._foreign.add(_foreign_key(state, content.key, in_milliseconds=content.in_milliseconds))
        self._foreign_counted.add((state.number, session))

    def _insert(self, entries: list[Entry], states: Mapping[str, SourceState]) -> int:
        kept = self._without_expired(entries, states)
        if not kept:
            return 0
        if self._seen_in_dry_run is not None:
            return sum(self._would_store(entry, states[entry.source], self._seen_in_dry_run) for entry in kept)
        inserted, attempts = self._retry_policy.call_counted(
            # Each attempt has its own dates: an outage does not shorten the time that messages are kept.
            lambda: self._store.insert(kept, self._expiry_dates(kept))
        )
        for entry, reason in inserted.refused:
            states[entry.source].refuse(entry, reason)
        for entry in inserted.deleted:
            states[entry.source].count_covered()
        if inserted.deleted and self._on_deleted is not None:
            self._tombstones({entry.session_id for entry in inserted.deleted})
        return inserted.stored + self._after_duplicates(inserted, attempts, states)

    def _without_expired(self, entries: list[Entry], states: Mapping[str, SourceState]) -> list[Entry]:
        """The entries, without those whose own time is over if such are to be skipped. Counts them."""
        if not entries or not self._rules.ttl_days or not self._rules.ttl_from_created:
            return entries
        now = self._retry_policy.call(self._store.server_now)
        kept: list[Entry] = []
        for entry, moment in zip(entries, self._expiry_dates(entries), strict=True):
            if moment is not None and moment <= now:
                state = states[entry.source]
                state.count_expired()
                if self._rules.skip_expired:
                    state.count_skipped()
                    continue
            kept.append(entry)
        return kept

    def _expiry_dates(self, entries: list[Entry]) -> list[datetime | None]:
        """When each entry expires; None for never."""
        if self._rules.ttl_days == 0:
            return [None] * len(entries)
        keep_for = timedelta(days=self._rules.ttl_days)
        if self._rules.ttl_from_created:
            return [_later(datetime.fromisoformat(entry.instant), keep_for) for entry in entries]
        return [_later(self._store.server_now(), keep_for)] * len(entries)

    def _after_duplicates(self, inserted: Inserted, attempts: int, states: Mapping[str, SourceState]) -> int:
        """How many entries count as stored although their ids existed: an own attempt whose answer was lost stored them.

        Other such ids were stored by another process, or by an equal line.
        """
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
                vanished.append(entry)  # its row was removed, or the collection dropped, at that moment
            elif not entry.key and not _is_content_of(entry, contents[entry.identity]):
                _refuse_other_content(states[entry.source], entry)
            elif places.get(entry.identity) == entry.number:
                ours.add(entry.identity)
        return len(ours) + (self._insert(vanished, states) if vanished else 0)

    def _contents_of(self, named: list[Entry]) -> dict[str, Content]:
        if not named:
            return {}
        identities = [entry.identity for entry in named]
        return self._retry_policy.call(lambda: self._store.stored_contents(identities))

    def _would_store(self, entry: Entry, state: SourceState, seen: CountOnDisk) -> int:
        refusal = self._store.refusal_of(entry)
        if refusal is not None:
            state.refuse(entry, refusal)
            return 0
        if self._missing is not None:
            self._missing(state, entry)
        with self._lock:
            first = seen.add(entry.identity.encode()) == 1
            same = seen.add(entry.identity.encode() + key_of(entry), by=int(first)) > 0
        if not same:
            _refuse_other_content(state, entry)
        return first


def _refuse_other_content(state: SourceState, entry: Entry) -> None:
    message_id = entry.fields.get("message_id")
    state.refuse(entry, f"message_id {message_id!r} is already stored with other content")


def _is_content_of(entry: Entry, content: Content) -> bool:
    fields = entry.fields
    if content == (fields["role"], entry.instant, fields["text"]):
        return True
    if (content[0], content[2]) != (fields["role"], fields["text"]):
        return False
    moment = read_instant(content[1])
    return moment is not None and format_instant(moment) == entry.instant


def _foreign_key(state: SourceState, key: bytes, *, in_milliseconds: bool) -> bytes:
    # Occurrences are counted within one reading of one journal, so each reading gets the foreign rows to itself.
    return b"%d" % state.number + (b"ms" if in_milliseconds else b"us") + key


def _key_in_milliseconds(entry: Entry) -> bytes:
    fields = entry.fields
    return content_key(entry.session_id, fields["role"], to_millisecond(entry.instant), fields["text"])


def _later(moment: datetime, by: timedelta) -> datetime | None:
    try:
        return moment + by
    except OverflowError:
        return None
