"""The checks of `chatstore verify` that read the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Protocol

from chatstore_cli.core.indexes import check_indexes, is_finding
from chatstore_cli.core.verify.checklist import (
    READ_ONLY,
    Check,
    Verdict,
    failed,
    passed,
    shorten,
    skipped,
    too_slow,
    warned,
)
from chatstore_cli.core.verify.sessions import sequence_verdict, size_verdict
from chatstore_cli.core.verify.threads import thread_verdict
from chatstore_cli.domain.clocks import differing_clocks
from chatstore_cli.domain.errors import ChatstoreError, Unreachable
from chatstore_cli.domain.foreign import (
    CollectionContents,
    is_another_products,
    mainly_foreign,
    missing_collections_notice,
    unread_collections,
)
from chatstore_cli.domain.indexes.findings import IndexFinding, IndexState
from chatstore_cli.domain.indexes.ports import DocumentDates, DocumentSamples, IndexStore, ServerProbe
from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.domain.migrations import MigrationState
from chatstore_cli.domain.threads.repair import ThreadRepairs
from chatstore_cli.domain.times import Clock

OLDEST_SERVER, NEWEST_SERVER = (5, 0), (8, 99)
"""The supported versions of MongoDB: 5.0 to 8.x."""
LATE_DELETION = timedelta(minutes=5)
"""The server deletes expired documents once a minute."""
MOST_COMPARED = 100_000
"""Documents of a collection that are compared to find duplicates."""
_NOT_OURS = "it writes, and no collection of the database is chatstore's own"
_NO_EXPIRY = "no collection exists whose documents expire"


class Database(Protocol):
    """What the checks read. Any property may raise if the database cannot be reached, which fails the check."""

    @property
    def target(self) -> str:
        """Server and database, in words."""

    @property
    def server_now(self) -> Clock:
        """The server's clock."""

    @property
    def server_probe(self) -> ServerProbe:
        """Facts about the server, and test writes."""

    @property
    def contents(self) -> CollectionContents:
        """What the collections hold."""

    @property
    def index_store(self) -> IndexStore:
        """The indexes."""

    @property
    def document_dates(self) -> DocumentDates:
        """The dates by which documents expire."""

    @property
    def document_samples(self) -> DocumentSamples:
        """Random samples of documents."""

    @property
    def thread_repairs(self) -> ThreadRepairs:
        """Threads and their messages."""

    def index_specs(
        self, layout: str | None = None, *, whatever_expires: bool = False
    ) -> Mapping[str, Sequence[IndexSpec]]:
        """The indexes of each layout; with `whatever_expires` also a TTL index that the settings do not need."""


@dataclass(frozen=True, slots=True)
class DatabaseChecks:
    """The checks of one database. `seconds` limits each check of documents; `read_only` skips checks that write.

    `sessions_collections` have sessions that are one document each. `clock` is this machine's. `migrations` returns the version of the tables if threads are in PostgreSQL. Then MongoDB may
    be disabled (`uses_mongo`).
    """

    database: Database
    sessions_collections: Sequence[str]
    seconds: float
    read_only: bool
    clock: Clock
    migrations: Callable[[], MigrationState] | None = None
    uses_mongo: bool = True

    def all(self) -> list[Check]:
        """The checks in the order of the checklist."""
        connected = "connection"
        if not self.uses_mongo:
            return [Check("threads", self.threads, "configuration")]
        return [
            Check(connected, self.connection, "configuration"),
            Check("server-version", self.server_version, connected),
            Check("documents", self.documents, connected),
            Check("clock", self.clocks, connected),
            Check("write-concern", self.write_concern, connected),
            Check("round-trip", self.round_trip, connected),
            Check("collections", self.collections, connected),
            Check("indexes", self.indexes, connected),
            Check("ttl-types", self.ttl_types, connected),
            Check("expired", self.expired, connected),
            Check("sequence-gaps", self.sequence_gaps, connected),
            Check("document-sizes", self.document_sizes, connected),
            Check("threads", self.threads, connected if self.migrations is None else "configuration"),
        ]

    def connection(self) -> Verdict:
        """The server can be reached, accepts the user, and accepts writes."""
        facts = self.database.server_probe.facts()
        detail = f"{self.database.target}: {facts.kind}"
        if not facts.writable:
            return failed(
                f"{detail}, but not its primary", "Set mongo.uri to the whole replica set, or to its primary."
            )
        return passed(detail)

    def server_version(self) -> Verdict:
        """The server has a supported version."""
        version = self.database.server_probe.facts().version
        numbers = tuple(int(number) for number in version.split(".")[:2] if number.isdigit())
        if numbers < OLDEST_SERVER:
            return failed(f"MongoDB {version} is too old", "Upgrade the server to MongoDB 5.0 or newer.")
        if numbers > NEWEST_SERVER:
            return warned(
                f"MongoDB {version}", "chatstore supports MongoDB 5.0 to 8.x and was not tested with newer versions."
            )
        return passed(f"MongoDB {version}")

    def documents(self) -> Verdict:
        """The collections that the settings name hold documents of their layouts."""
        contents = self.database.contents
        notice = missing_collections_notice(contents, self.database.target)
        if notice is not None:
            hint = "Correct mongo.database or the names of collections. If they are right, run chatstore indexes apply."
            return failed(notice, hint)
        existing = set(contents.names())
        here = [name for name in contents.own_names() if name in existing]
        found = [each for each in map(contents.foreign_in, here) if each is not None and each.foreign]
        if found:
            verdict = failed if any(each.is_mainly_foreign for each in found) else warned
            hint = (
                "chatstore leaves these documents out. Check the database and the names of collections in the settings."
            )
            return verdict("; ".join(each.remark for each in found), hint)
        if unread := unread_collections(contents):
            hint = " ".join(f"To read {name}, set {setting}: {name}." for name, setting in unread.items())
            return warned(f"no setting names the collection {', '.join(unread)}, so it is not read", hint)
        return passed(f"only documents of their layouts in {', '.join(here)}" if here else "no collection yet")

    def clocks(self) -> Verdict:
        """The clocks of this machine and of the server agree."""
        server, local = self.database.server_now(), self.clock()
        if warning := differing_clocks(local, server):
            difference, _, hint = warning.partition(". ")
            return warned(difference, hint)
        return passed(f"this machine's clock differs by {abs(local - server).total_seconds():.1f} s from the server's")

    def write_concern(self) -> Verdict:
        """A write is acknowledged with the configured write concern."""
        if self.read_only:
            return skipped(READ_ONLY)
        if is_another_products(self.database.contents):
            return skipped(_NOT_OURS)
        try:
            return passed(f"acknowledged with {self.database.server_probe.acknowledged_write(self.seconds)}")
        except Unreachable as error:
            return failed(error.message, "Check that enough nodes are up, or change mongo.write_concern.")

    def round_trip(self) -> Verdict:
        """A document can be written, read and deleted."""
        if self.read_only:
            return skipped(READ_ONLY)
        if is_another_products(self.database.contents):
            return skipped(_NOT_OURS)
        self.database.server_probe.round_trip()
        return passed("a document was written, read and deleted in a scratch collection, which was dropped")

    def collections(self) -> Verdict:
        """The existing collections are of a kind that documents can be stored in, and compare texts byte by byte."""
        names = dict.fromkeys(spec.collection for spec in self._specs())
        options = self.database.index_store.options(names)
        if unsuitable := [f"{each.name} is {each.unsuitable}" for each in options if each.unsuitable]:
            return failed("; ".join(unsuitable), "Configure the names of ordinary collections.")
        if collated := [f"{each.name} ({each.collation})" for each in options if each.collation]:
            return warned(
                f"different ids can be equal for the collation of {', '.join(collated)}",
                "chatstore compares ids byte by byte. This costs a second comparison for each look-up, and indexes that "
                "only chatstore's lists, reports and flushes use: run chatstore indexes apply.",
            )
        if not options:
            return skipped("no collection exists yet")
        if len(options) == 1:
            return passed("1 ordinary collection, which compares ids byte by byte")
        return passed(f"{len(options)} ordinary collections, which compare ids byte by byte")

    def indexes(self) -> Verdict:
        """The existing collections have every index of their layouts."""
        existing = self.database.index_store.existing_collections()
        specs = self._specs()
        made = [spec for specs in self.database.index_specs(whatever_expires=True).values() for spec in specs]
        foreign = [each.collection for each in mainly_foreign(self.database.contents, existing)]
        options = self.database.index_store.options({spec.collection: None for spec in specs})
        unsuitable = [each.name for each in options if each.unsuitable]
        here = [spec for spec in specs if spec.collection in existing - {*foreign, *unsuitable}]
        findings = check_indexes(here, self.database.index_store, made)
        absent = dict.fromkeys(spec.collection for spec in specs if spec.collection not in existing)
        not_yet = f"not created yet: {', '.join(absent)}" if absent else ""
        if wrong := [finding for finding in findings if is_finding(finding)]:
            names = shorten([f"{finding.collection}.{finding.name} {finding.state}" for finding in wrong])
            hint = "Run chatstore indexes check for details, and chatstore indexes apply to create missing ones."
            return failed("; ".join([names, *self._duplicates(wrong)]), hint)
        others = f"{', '.join(foreign)} not compared: mainly documents of another product" if foreign else ""
        unfit = f"{', '.join(unsuitable)} not compared: see the check collections" if unsuitable else ""
        if not findings:
            return skipped("; ".join(filter(None, [others, unfit, not_yet])))
        counts = {
            state: sum(finding.state is state for finding in findings)
            for state in (IndexState.OK, IndexState.UNNEEDED, IndexState.OTHER)
        }
        words = {IndexState.OK: "as expected", IndexState.UNNEEDED: "not needed any more", IndexState.OTHER: "other"}
        parts = [f"{count} {words[state]}" for state, count in counts.items() if count or state is IndexState.OK]
        return passed("; ".join(filter(None, [*parts, others, unfit, not_yet])))

    def _duplicates(self, wrong: Sequence[IndexFinding]) -> Iterator[str]:
        """The values that several documents have, because a unique index is missing. All searches share one time limit."""
        deadline = monotonic() + self.seconds
        for spec in (each.spec for each in wrong if each.spec is not None and not (each.stored and each.stored.unique)):
            if not spec.unique:
                continue
            store, seconds = self.database.index_store, deadline - monotonic()
            try:
                found = None if seconds <= 0 else store.duplicates(spec, seconds, MOST_COMPARED)
            except ChatstoreError as error:  # the missing index is the finding
                yield f"the search for duplicates failed: {error.message}"
                continue
            if found is None:
                yield f"the search for duplicates in {spec.collection} took longer than {self.seconds:g} seconds"
            elif found:
                fields = ", ".join(field for field, _ in spec.keys)
                yield f"{spec.collection} has duplicates of {fields}: {found}"
            elif self.database.document_dates.documents(spec.collection) > MOST_COMPARED:
                yield f"no duplicates among {MOST_COMPARED:,} documents of {spec.collection}; the others were not compared"

    def ttl_types(self) -> Verdict:
        """The fields by which documents expire contain dates: other values never expire."""
        specs = self._ttl_specs()
        if not specs:
            return skipped(_NO_EXPIRY)
        details = []
        wrong = absent = False
        for spec in specs:
            field = spec.keys[0][0]
            types = self.database.document_dates.field_types(spec.collection, field)
            if types is None:
                return too_slow(spec.collection, self.seconds)
            among = f" in a sample of {types.looked_at:,}" if types.looked_at is not None else ""
            parts = [f"{number:,} with {kind}" for kind, number in types.other_types.items()]
            parts += [f"{types.absent:,} without"] if types.absent else []
            details.append(f"{spec.collection}.{field}: {', '.join(parts) or 'only dates'}{among}")
            wrong, absent = wrong or bool(types.other_types), absent or bool(types.absent)
        if wrong:
            return failed(
                "; ".join(details), "These documents never expire. Convert the values to dates; see chatstore ttl show."
            )
        if absent:
            return warned("; ".join(details), "Documents without a date never expire. See chatstore ttl show.")
        return passed("; ".join(details))

    def expired(self) -> Verdict:
        """Expired documents are deleted."""
        specs = self._ttl_specs()
        if not specs:
            return skipped(_NO_EXPIRY)
        late = []
        for spec in specs:
            cutoff = self.database.server_now() - timedelta(seconds=spec.expire_after_seconds or 0) - LATE_DELETION
            count = self.database.document_dates.count_before(
                spec.collection, spec.keys[0][0], cutoff, spec.partial_filter
            )
            if count is None:
                return too_slow(spec.collection, self.seconds)
            if count:
                late.append(f"{count:,} in {spec.collection} expired more than 5 minutes ago and still exist")
        if late:
            return warned(
                "; ".join(late), "Check the TTL index (chatstore ttl show) and the server parameter ttlMonitorEnabled."
            )
        return passed("no expired document remains")

    def sequence_gaps(self) -> Verdict:
        """The messages of a session are numbered without gaps."""
        return sequence_verdict(self.database.document_samples, self.sessions_collections, self.seconds)

    def document_sizes(self) -> Verdict:
        """No document is near the limit of 16 MiB."""
        collections = dict.fromkeys(spec.collection for spec in self._specs())
        return size_verdict(self.database.document_samples, collections, self.sessions_collections, self.seconds)

    def threads(self) -> Verdict:
        """Threads and their messages belong together. In PostgreSQL a foreign key makes sure of that."""
        database = self.database
        if self.migrations is not None:
            state = self.migrations()
            return passed(str(state).rstrip(".")) if state.is_current else failed(str(state), state.advice or "")
        return thread_verdict(database.thread_repairs, database.contents, database.server_now(), self.seconds)

    def _specs(self) -> list[IndexSpec]:
        return [spec for specs in self.database.index_specs().values() for spec in specs]

    def _ttl_specs(self) -> list[IndexSpec]:
        """The TTL indexes of the existing collections."""
        existing = self.database.index_store.existing_collections()
        specs = (spec for spec in self._specs() if spec.expire_after_seconds is not None)
        return [spec for spec in specs if spec.collection in existing]
