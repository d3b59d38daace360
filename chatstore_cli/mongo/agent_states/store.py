"""The states of a Python agent in MongoDB: one document for each user and session."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import bson
import pymongo.errors as driver

from chatstore_cli.config.settings import Settings
from chatstore_cli.core.agent_states.paths import not_on_path, shown_path, value_under, with_value, without_value
from chatstore_cli.core.retry import attempt_until_done
from chatstore_cli.domain.agent_states import AgentState, Path
from chatstore_cli.domain.errors import Conflict, DocumentRefused
from chatstore_cli.domain.indexes.specs import IndexSpec
from chatstore_cli.mongo.agent_states.documents import OWN_STATES, new_state, state_index_spec, to_state
from chatstore_cli.mongo.agent_states.fields import DATA, addressable, field_of
from chatstore_cli.mongo.collections import acknowledged_collection
from chatstore_cli.mongo.connection import Connection, Document, driver_errors
from chatstore_cli.mongo.exact import bytewise
from chatstore_cli.mongo.foreign_documents import require_writable
from chatstore_cli.mongo.maintenance.index_store import MongoIndexStore

Result = TypeVar("Result")

_PATH_NOT_VIABLE = 28
_TOO_LARGE = {10334, 17419, 17420}
_DOLLAR_KEY = 52
_LARGEST_UPDATE = 15 * 1024 * 1024
"""Bytes of the old and the new value together, beside which an update command has room."""
_MISSING = object()


class MongoAgentStateStore:
    """An AgentStateStore. Each change is one update of one value; an index, not a look-up, keeps a second state out."""

    def __init__(self, connection: Connection, settings: Settings, *, patient: Connection | None = None) -> None:
        """`patient` is a connection without a time limit, for building the index."""
        self._connection = connection.reading_from_primary()
        self.collection = settings.chatstore.agents.states
        self._states = acknowledged_collection(self._connection, self.collection)
        self._indexes = MongoIndexStore(self._connection, patient or connection)
        self._is_prepared = False

    def index_specs(self) -> list[IndexSpec]:
        """The index of the states. Raises ForeignCollection."""
        require_writable(self._connection, self.collection, OWN_STATES)
        return [state_index_spec(self.collection)]

    def find(self, user_id: str, session_id: str, path: Path = ()) -> AgentState | None:
        on_path = field_of(addressable(path))
        fields = {"user_id": 1, "session_id": 1, "current_agent_id": 1, on_path: 1}
        with driver_errors(f"looking up a state in {self.collection}"):
            found = self._states.find_one(_selected(user_id, session_id), fields)
        return None if found is None else to_state(found)

    def page(
        self, user_id: str | None, after: tuple[str, str] | None, limit: int, *, with_data: bool
    ) -> list[AgentState]:
        own = OWN_STATES.filter()
        of_user: Document = {} if user_id is None else {"user_id": user_id}
        parts: list[Document] = [of_user]
        if after is not None:
            parts = [{"user_id": after[0], "session_id": {"$gt": after[1]}}, {"user_id": {"$gt": after[0]}}]
        fields = None if with_data else {DATA: 0}
        states: list[AgentState] = []
        with driver_errors(f"listing the states of {self.collection}"):
            for part in parts:
                if len(states) < limit:
                    condition = {"$and": [of_user, part, own]}
                    found = self._states.find(condition, fields).sort([("user_id", 1), ("session_id", 1)])
                    states += map(to_state, found.limit(limit - len(states)))
        return states

    def set_value(self, user_id: str, session_id: str, path: Path, value: Any) -> None:
        known = addressable(path)
        selected = _selected(user_id, session_id)

        def change() -> bool | None:
            if known == path:
                return self._states.update_one(selected, {"$set": {field_of(path): value}}).matched_count > 0
            found = self._states.find_one(selected, {field_of(known): 1})
            if found is None:
                return False
            stored = found.get(DATA, {})
            return self._replace(found, known, stored, with_value(stored, path, value), path)

        self._change(user_id, session_id, path, change, lambda: (None, with_value({}, path, value)))

    def unset_value(self, user_id: str, session_id: str, path: Path) -> bool:
        known = addressable(path)
        selected = _selected(user_id, session_id)

        def change() -> tuple[bool] | None:
            field = field_of(known)
            if known == path:
                exists = {"$and": [selected, {field: {"$exists": True}}]}
                return (self._states.update_one(exists, {"$unset": {field: ""}}).modified_count > 0,)
            found = self._states.find_one(selected, {field: 1})
            stored = None if found is None else found.get(DATA)
            new = without_value(stored, path)
            if found is None or new is None:
                return (False,)
            return (True,) if self._replace(found, known, stored, new, path) else None

        return self._attempt(path, change)[0]

    def set_current_agent(self, user_id: str, session_id: str, agent_id: str | None) -> None:
        def change() -> bool:
            update = {"$set": {"current_agent_id": agent_id}}
            return bool(self._states.update_one(_selected(user_id, session_id), update).matched_count)

        self._change(user_id, session_id, (), change, lambda: (agent_id, {}))

    def _change(
        self,
        user_id: str,
        session_id: str,
        path: Path,
        change: Callable[[], bool | None],
        new: Callable[[], tuple[str | None, Mapping[str, Any]]],
    ) -> None:
        """Change a state, or insert one with the agent and the data of `new` if `change` returns False because the state is missing."""

        def attempt() -> bool | None:
            is_changed = change()
            if is_changed is not False:
                return is_changed
            try:
                self._states.insert_one(new_state(user_id, session_id, *new()))
            except driver.DuplicateKeyError:
                return None  # another writer has created it
            return True

        self._attempt(path, attempt)

    def _attempt(self, path: Path, attempt: Callable[[], Result | None]) -> Result:
        doing = f"changing a state in {self.collection}"

        def failure() -> Conflict:
            return Conflict(
                what=f"{doing}: other writers changed it each time, or its user and session have another document.",
                hint="Run the command again.",
            )

        self._prepare()
        with driver_errors(doing):
            try:
                return attempt_until_done(attempt, failure)
            except driver.OperationFailure as error:
                raise _in_words(error, path, doing) from error

    def _replace(self, found: Document, known: Path, old: Any, new: Any, path: Path) -> bool | None:
        """Replace the part of the data that an update can address, unless it was changed since it was read."""
        before, after = value_under(old, known, _MISSING), value_under(new, known, _MISSING)
        field = field_of(known)
        unchanged: Document = {field: {"$exists": False} if before is _MISSING else {"$eq": before}}
        if before is not _MISSING and len(bson.encode({"": before})) + len(bson.encode({"": after})) > _LARGEST_UPDATE:
            raise Conflict(
                what=f"path {shown_path(path)}: {field} is too large to change a key with one of the characters . or $, "
                "an index or a number in it. Nothing was changed.",
                hint="Set the whole value of a key without them.",
            )
        condition = {"$and": [{"_id": found["_id"]}, unchanged]}
        # With the collation of the collection, a text that differs in its case could count as unchanged.
        update = self._states.update_one(condition, {"$set": {field: after}}, **bytewise(self._states))
        return True if update.matched_count else None

    def _prepare(self) -> None:
        """Examine the collection, and create its unique index."""
        require_writable(self._connection, self.collection, OWN_STATES)
        if self._is_prepared:
            return
        spec = state_index_spec(self.collection)
        unique = (each for each in self._indexes.stored(self.collection) if each.unique and not each.partial_filter)
        if not any({field for field, _ in each.keys} == {"user_id", "session_id"} for each in unique):
            self._indexes.create(spec, spec.name)
        self._is_prepared = True


def _selected(user_id: str, session_id: str) -> Document:
    return {"user_id": user_id, "session_id": session_id, **OWN_STATES.filter()}


def _in_words(error: driver.OperationFailure, path: Path, doing: str) -> Exception:
    """The error for an update that the server rejects because of the stored or the new value; else the same error."""
    if error.code == _PATH_NOT_VIABLE:
        return not_on_path(path)
    if error.code in _TOO_LARGE:
        return DocumentRefused(where=doing, reason="the state would exceed the 16 MiB of a document in MongoDB")
    if error.code == _DOLLAR_KEY:
        reason = "this server stores a key that begins with $ in new states only. MongoDB 5.0 and newer also change it"
        return DocumentRefused(where=doing, reason=reason)
    return error
