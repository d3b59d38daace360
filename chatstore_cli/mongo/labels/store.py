"""The labels of sessions in one collection, for all layouts. Every change is one command on one document."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from pymongo import ReturnDocument
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

from chatstore_cli.config.settings import Settings
from chatstore_cli.domain.errors import Conflict, MissingRight, Unreachable
from chatstore_cli.domain.labels import MOST_TAGS, Labels, SessionRef
from chatstore_cli.mongo.collections import collection_facts, require_exact_ids
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.foreign_documents import require_own
from chatstore_cli.mongo.identifiers import is_storable
from chatstore_cli.mongo.labels.documents import OWN_LABELS, label_id, session_of, to_labels

_AT_ONCE = 1_000
_ATTEMPTS = 100
_SECONDS_IF_OPTIONAL = 1.0
"""How long a command that needs no MongoDB otherwise waits for it."""


class MongoLabels:
    """A LabelStore over one MongoDB database."""

    def __init__(self, connection: Connection, settings: Settings, *, are_optional: bool = False) -> None:
        """With `are_optional`, sessions are shown without labels if the server cannot be reached."""
        self._connection = connection
        self._are_optional = are_optional
        self._is_reached = False
        self.collection = settings.chatstore.labels.collection
        self.remarks: list[str] = []

    def of(self, sessions: Iterable[SessionRef]) -> Mapping[SessionRef, Labels]:
        wanted = [session for session in dict.fromkeys(sessions) if is_storable(session.session_id)]
        found: dict[SessionRef, Labels] = {}
        if not wanted or self.remarks:
            return found
        try:
            if not self._exists():
                return found
            with driver_errors(f"reading the labels of sessions in {self.collection}"):
                waiting = iter(wanted)
                while some := list(islice(waiting, _AT_ONCE)):
                    rows = self._labels.find({"_id": {"$in": list(map(label_id, some))}})
                    found |= {session: to_labels(row) for row in rows if (session := session_of(row)) is not None}
        except MissingRight:
            self.remarks = [f"This user may not read {self.collection}, so its titles and tags are not shown."]
        except Unreachable as error:
            if not self._are_optional:
                raise
            self.remarks = [f"The titles and tags in {self.collection} are not shown. {error.as_text()}"]
        return {session: found[session] for session in wanted if session in found}  # a collation may find others too

    def tagged(self, tag: str, layouts: Sequence[str]) -> Iterator[SessionRef]:
        if not self._exists() or not is_storable(tag):
            return
        condition: Document = {"tags": tag, "_id.layout": {"$in": list(layouts)}}
        with driver_errors(f"looking up the sessions with the tag {tag!r} in {self.collection}"):
            for row in self._labels.find(condition):
                session = session_of(row)
                if session is not None and tag in to_labels(row).tags:  # a collation may take other texts for equal
                    yield session

    def every(self) -> Iterator[SessionRef]:
        if not self._exists():
            return
        with driver_errors(f"reading {self.collection}"):
            for row in self._labels.find({}, {"_id": 1}):
                if (session := session_of(row)) is not None:
                    yield session

    def add_tags(self, session: SessionRef, tags: Sequence[str]) -> Labels:
        self._require_writable()
        labels = self._labels
        missing = list(dict.fromkeys(tags))
        for _ in range(_ATTEMPTS):
            if len(missing) > MOST_TAGS:
                break
            # The list has room for the missing tags if it has no element at this place.
            room: Document = {f"tags.{MOST_TAGS - len(missing)}": {"$exists": False}}
            changes: Document = {"$addToSet": {"tags": {"$each": missing}}}
            try:
                with driver_errors(f"adding tags to session {session.session_id!r} in {self.collection}"):
                    row = labels.find_one_and_update(
                        {"_id": label_id(session), **room}, changes, upsert=True, return_document=ReturnDocument.AFTER
                    )
                return to_labels(row)
            except Conflict as error:
                if not isinstance(error.__cause__, DuplicateKeyError):
                    raise
            stored = self._read(session)
            missing = [tag for tag in missing if tag not in stored.tags]
            if not missing:
                return stored
            if len(stored.tags) + len(missing) > MOST_TAGS:
                break
        raise Conflict(
            what=f"Session {session.session_id!r} would have more than {MOST_TAGS} tags. Nothing was changed.",
            hint="Remove some first: chatstore sessions untag.",
        )

    def remove_tags(self, session: SessionRef, tags: Sequence[str]) -> Labels:
        return self._change(session, {"$pull": {"tags": {"$in": list(tags)}}}, upsert=False)

    def set_title(self, session: SessionRef, title: str) -> Labels:
        if not title:
            return self._change(session, {"$unset": {"title": ""}}, upsert=False)
        return self._change(session, {"$set": {"title": title}}, upsert=True)

    def _change(self, session: SessionRef, changes: Document, *, upsert: bool) -> Labels:
        self._require_writable()
        if not upsert and not self._exists():
            return Labels()
        labels, identity = self._labels, label_id(session)
        with driver_errors(f"changing the labels of session {session.session_id!r} in {self.collection}"):
            changed = to_labels(
                labels.find_one_and_update(
                    {"_id": identity}, changes, upsert=upsert, return_document=ReturnDocument.AFTER
                )
            )
            if changed == Labels():
                labels.delete_one({"_id": identity, "tags.0": {"$exists": False}, "title": None})
        return changed

    def count(self, session: SessionRef) -> int:
        return self._or_none(lambda: self._count(session))

    def _count(self, session: SessionRef) -> int:
        if not self._exists():
            return 0
        with driver_errors("counting what would be deleted"):
            found = self._read_document(session) is not None
        if found:
            require_own(self._connection, self.collection, OWN_LABELS)
        return int(found)

    def remove(self, session: SessionRef) -> int:
        return self._or_none(lambda: self._remove(session))

    def _or_none(self, operation: Callable[[], int]) -> int:
        """The result of the operation; 0 if labels are optional and the server cannot be reached."""
        if self._are_optional and self.remarks:
            return 0
        try:
            return operation()
        except Unreachable as error:
            if not self._are_optional:
                raise
            self.remarks = [f"The labels in {self.collection} are left. {error.as_text()}"]
            return 0

    def _remove(self, session: SessionRef) -> int:
        if not self._exists():
            return 0
        require_own(self._connection, self.collection, OWN_LABELS)
        with driver_errors(f"deleting the labels of session {session.session_id!r} in {self.collection}"):
            stored = self._read_document(session)
            return 0 if stored is None else self._labels.delete_one({"_id": stored["_id"]}).deleted_count

    def _read(self, session: SessionRef) -> Labels:
        with driver_errors(f"reading the labels of session {session.session_id!r} in {self.collection}"):
            return to_labels(self._read_document(session))

    def _read_document(self, session: SessionRef) -> Document | None:
        rows = self._labels.find({"_id": label_id(session)})
        return next((row for row in rows if session_of(row) == session), None)

    def _exists(self) -> bool:
        if self._are_optional and not self._is_reached:
            self._connection.reach(_SECONDS_IF_OPTIONAL)
            self._is_reached = True
        facts = collection_facts(self._connection, self.collection)
        return facts.exists and facts.is_usable

    def _require_writable(self) -> None:
        require_exact_ids(self._connection, self.collection)
        require_own(self._connection, self.collection, OWN_LABELS)

    @property
    def _labels(self) -> Collection[Document]:
        # The driver's own collection: `_id` is a document, and a collection with a collation is compared here.
        return self._connection.database[self.collection]
