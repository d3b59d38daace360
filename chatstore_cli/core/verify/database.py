"""The checks of `chatstore verify` that ask the database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from chatstore_cli.core.indexes import check_indexes, is_finding
from chatstore_cli.core.verify.checklist import Check, Verdict, failed, passed, skipped, warned
from chatstore_cli.domain.errors import Unreachable
from chatstore_cli.domain.indexes.findings import IndexState
from chatstore_cli.domain.indexes.ports import DocumentDates, DocumentSamples, IndexStore, ServerProbe
from chatstore_cli.domain.indexes.specs import IndexSpec

OLDEST_SERVER, NEWEST_SERVER = (5, 0), (8, 99)
"""MongoDB 5.0 to 8.x are supported (DESIGN section 1)."""
LARGE_DOCUMENT = 8 * 1024 * 1024
"""Half of what one document may have."""
SWEEP_IS_LATE = timedelta(minutes=5)
"""The server looks for expired documents every minute (FACTS A)."""
_NAMED = 3


class Database(Protocol):
    """What the checks look at. Each of these may raise where there is no way to it: then the check has failed."""

    @property
    def target(self) -> str:
        """Server and database in words."""
        ...

    @property
    def server_probe(self) -> ServerProbe:
        """The server."""
        ...

    @property
    def index_store(self) -> IndexStore:
        """Its indexes."""
        ...

    @property
    def document_dates(self) -> DocumentDates:
        """The dates by which it deletes."""
        ...

    @property
    def document_samples(self) -> DocumentSamples:
        """Documents taken at random."""
        ...

    def index_specs(self) -> Mapping[str, Sequence[IndexSpec]]:
        """The indexes that each layout should have."""
        ...


@dataclass(frozen=True, slots=True)
class DatabaseChecks:
    """The checks of one database. `seconds` bounds each that looks at documents; `read_only` leaves writing ones out."""

    database: Database
    sessions_collection: str
    seconds: float
    read_only: bool
    clock: Callable[[], datetime]

    def all(self) -> list[Check]:
        """In the order in which they are worth reading."""
        connected = "connection"
        return [
            Check(connected, self.connection, "configuration"),
            Check("server-version", self.server_version, connected),
            Check("write-concern", self.write_concern, connected),
            Check("round-trip", self.round_trip, connected),
            Check("indexes", self.indexes, connected),
            Check("ttl-types", self.ttl_types, connected),
            Check("expired", self.expired, connected),
            Check("sequence-gaps", self.sequence_gaps, connected),
            Check("document-sizes", self.document_sizes, connected),
        ]

    def connection(self) -> Verdict:
        """The server is reached, lets the user in, and can be written to."""
        facts = self.database.server_probe.facts()
        detail = f"{self.database.target}: {facts.kind}"
        if not facts.writable:
            return failed(f"{detail}, and not its primary", "Name the whole replica set in mongo.uri, or its primary.")
        return passed(detail)

    def server_version(self) -> Verdict:
        """The server is one that chatstore is made for."""
        version = self.database.server_probe.facts().version
        numbers = tuple(int(number) for number in version.split(".")[:2] if number.isdigit())
        if numbers < OLDEST_SERVER:
            return failed(f"MongoDB {version} is too old", "chatstore needs MongoDB 5.0 or newer.")
        if numbers > NEWEST_SERVER:
            return warned(
                f"MongoDB {version}", "chatstore is made for MongoDB 5.0 to 8.x, and not tried on newer ones."
            )
        return passed(f"MongoDB {version}")

    def write_concern(self) -> Verdict:
        """A write is confirmed as the configuration asks for it."""
        if self.read_only:
            return skipped("it writes, and --read-only is set")
        try:
            return passed(f"confirmed with {self.database.server_probe.acknowledged_write(self.seconds)}")
        except Unreachable as error:
            return failed(error.message, "See that enough nodes are up, or change mongo.write_concern.")

    def round_trip(self) -> Verdict:
        """What is written can be read, and deleted."""
        if self.read_only:
            return skipped("it writes, and --read-only is set")
        self.database.server_probe.round_trip()
        return passed("a document was written, read and deleted in a scratch collection, which is gone again")

    def indexes(self) -> Verdict:
        """Every index of the collections that are there; what is not there yet lacks none."""
        there = self.database.index_store.existing_collections()
        wanted = [spec for specs in self.database.index_specs().values() for spec in specs]
        findings = check_indexes([spec for spec in wanted if spec.collection in there], self.database.index_store)
        absent = dict.fromkeys(spec.collection for spec in wanted if spec.collection not in there)
        not_yet = f"no {' and no '.join(absent)} yet" if absent else ""
        if wrong := [finding for finding in findings if is_finding(finding)]:
            named = _few([f"{finding.collection}.{finding.name} {finding.state}" for finding in wrong])
            return failed(named, "chatstore indexes check says more, chatstore indexes apply creates what is missing.")
        if not findings:
            return skipped(not_yet)
        unneeded = sum(finding.state is IndexState.UNNEEDED for finding in findings)
        also = f"{unneeded} that no layout asks for" if unneeded else ""
        return passed("; ".join(filter(None, [f"{len(findings) - unneeded} as they should be", also, not_yet])))

    def ttl_types(self) -> Verdict:
        """What is to expire holds a date: nothing else ever expires."""
        specs = self._ttl_specs()
        if not specs:
            return skipped("nothing is to expire here (mongo.ttl_days is 0)")
        details = []
        wrong = absent = False
        for spec in specs:
            field = spec.keys[0][0]
            found = self.database.document_dates.field_types(spec.collection, field)
            if found is None:
                return self._too_slow(spec.collection)
            among = f" among {found.looked_at:,} looked at" if found.looked_at is not None else ""
            parts = [f"{number:,} with {kind}" for kind, number in found.other_types.items()]
            parts += [f"{found.absent:,} without"] if found.absent else []
            details.append(f"{spec.collection}.{field}: {', '.join(parts) or 'only dates'}{among}")
            wrong, absent = wrong or bool(found.other_types), absent or bool(found.absent)
        if wrong:
            return failed("; ".join(details), "These never expire: make them dates. See chatstore ttl show.")
        if absent:
            return warned("; ".join(details), "These are kept for ever. See chatstore ttl show.")
        return passed("; ".join(details))

    def expired(self) -> Verdict:
        """What has expired is gone."""
        specs = self._ttl_specs()
        if not specs:
            return skipped("nothing is to expire here (mongo.ttl_days is 0)")
        late = []
        for spec in specs:
            cutoff = self.clock() - timedelta(seconds=spec.expire_after_seconds or 0) - SWEEP_IS_LATE
            count = self.database.document_dates.count_before(spec.collection, spec.keys[0][0], cutoff)
            if count is None:
                return self._too_slow(spec.collection)
            if count:
                late.append(f"{count:,} in {spec.collection} expired more than 5 minutes ago and are still there")
        if late:
            return warned("; ".join(late), "Is there a TTL index (chatstore ttl show), and the server's sweep on?")
        return passed("nothing that has expired is still there")

    def sequence_gaps(self) -> Verdict:
        """The messages of a session are numbered without gaps; a crash between counter and write leaves one (FACTS B)."""
        found = self.database.document_samples.sequences(self.sessions_collection)
        if found is None:
            return self._too_slow(self.sessions_collection)
        told = []
        if found.with_gaps:
            told.append(f"{len(found.with_gaps):,} have gaps ({_few(found.with_gaps)})")
        if found.with_doubles:
            told.append(f"{len(found.with_doubles):,} have a number twice ({_few(found.with_doubles)})")
        looked_at = f"of {found.looked_at:,} sessions looked at"
        if told:
            return warned(f"{looked_at} {'; '.join(told)}", "Messages may have been lost: compare with the journals.")
        return passed(f"none in {found.looked_at:,} sessions looked at")

    def document_sizes(self) -> Verdict:
        """No document comes near the 16 MiB at which MongoDB refuses it."""
        specs = (spec for wanted in self.database.index_specs().values() for spec in wanted)
        looked_at, large, splittable = 0, [], False
        for collection in dict.fromkeys(spec.collection for spec in specs):
            found = self.database.document_samples.sizes(collection, LARGE_DOCUMENT)
            if found is None:
                return self._too_slow(collection)
            looked_at += found.looked_at
            large += [f"{name} in {where}: {size / 2**20:.1f} MiB" for where, name, size in found.large]
            splittable |= bool(found.large) and collection == self.sessions_collection
        if large:
            hint = "MongoDB refuses what has 16 MiB: see what makes these messages so large."
            if splittable:
                hint = "At 16 MiB no message can be added: chatstore sessions split."
            return warned(f"above half of 16 MiB: {_few(large)}", hint)
        return passed(f"none above half of 16 MiB among {looked_at:,} looked at")

    def _ttl_specs(self) -> list[IndexSpec]:
        specs = (spec for wanted in self.database.index_specs().values() for spec in wanted)
        return [spec for spec in specs if spec.expire_after_seconds is not None]

    def _too_slow(self, collection: str) -> Verdict:
        reason = f"looking at {collection} took longer than {self.seconds:g} seconds"
        return skipped(reason, "Raise verify.seconds_per_check.")


def _few(names: Sequence[str]) -> str:
    more = f", and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
