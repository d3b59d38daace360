"""Finding the one document of a workflow session: some variants have a `chat_id`, others only the `_id`."""

from __future__ import annotations

from pymongo.collection import Collection

from chatstore_cli.mongo.connection import Document, driver_errors
from chatstore_cli.mongo.identifiers import id_values
from chatstore_cli.mongo.workflow.own_sessions import OWN_SESSIONS

IDENTITY: Document = {"chat_id": 1}


def locate(
    sessions: Collection[Document], session_id: str, fields: Document = IDENTITY, *, in_memory: bool = False
) -> Document | None:
    """The session with that chat_id, or else that `_id` (its text, or its ObjectId's hex); else None.

    A document that is not a session (own_sessions.py) is not found. `fields` is a projection, which may compute. In
    memory the whole document is returned.
    """
    with driver_errors(f"looking up session {session_id!r} in {sessions.name}"):
        for field in ("chat_id", "_id"):
            for value in id_values(session_id):
                match: Document = {field: {"$eq": value, "$not": {"$type": "array"}}}
                if in_memory:
                    document = next(filter(OWN_SESSIONS.matches, sessions.find(match)), None)
                else:
                    document = facts_of_first(sessions, {**match, **OWN_SESSIONS.filter()}, fields, in_memory=False)
                if document is not None:
                    return document
    return None


def facts_of_first(
    sessions: Collection[Document], match: Document, fields: Document, *, in_memory: bool
) -> Document | None:
    """The first document that matches, as `locate` returns it."""
    if in_memory:
        return sessions.find_one(match)
    facts: list[Document] = [{"$match": match}, {"$limit": 1}, {"$project": fields}]
    return next(iter(sessions.aggregate(facts)), None)
