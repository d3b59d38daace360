"""How many sessions each tenant and user has, grouped on the server; the beginnings of ids, found in an index."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from pymongo.collection import Collection

from chatstore_cli.domain.session import Session
from chatstore_cli.domain.session_reader import MOST_NAMES, NameField, NameTotal
from chatstore_cli.mongo.connection import Document
from chatstore_cli.mongo.identifiers import is_storable

_LAST = "\U0010ffff"


def name_of(session: Session, field: NameField) -> str | None:
    """The tenant or the user of a session."""
    return session.tenant_id if field == "tenant" else session.user_id


def grouped_totals(
    sessions: Collection[Document],
    match: Document,
    *,
    field: NameField,
    names: Sequence[str],
    times: Sequence[str],
    to_session: Callable[[Document], Session],
) -> Iterator[NameTotal]:
    """The sessions of each value of the fields `names`, with the newest of each of the fields `times`.

    `to_session` decides which tenant, which user and which time that is, as in a list. Raises the driver's own errors.
    """
    keys = {name: f"${name}" for name in names}
    newest = {f"t{place}": {"$max": f"${time}"} for place, time in enumerate(times)}
    stages: list[Document] = [
        {"$match": match},
        {"$group": {"_id": keys, "n": {"$sum": 1}, **newest}},
        {"$sort": {"n": -1}},
        {"$limit": MOST_NAMES + 1},
    ]
    for row in sessions.aggregate(stages, allowDiskUse=True):
        of_group = {time: row[f"t{place}"] for place, time in enumerate(times)}
        session = to_session({**row["_id"], **of_group})
        yield NameTotal(name_of(session, field), row["n"], session.updated_at)


def totals_of(sessions: Iterable[Session], field: NameField) -> Iterator[NameTotal]:
    """The same, one session at a time."""
    return (NameTotal(name_of(session, field), 1, session.updated_at) for session in sessions)


def ids_beginning_with(sessions: Collection[Document], fields: Sequence[str], prefix: str, limit: int) -> list[str]:
    """At most `limit` texts of these fields that begin with the prefix: one index seek for each.

    Raises the driver's own errors.
    """
    if not is_storable(prefix):
        return []
    found: dict[str, None] = {}
    for field in fields:
        beyond: Document = {"$gte": prefix}
        while len(found) < limit:
            row = next(
                iter(sessions.find({field: beyond | {"$lt": prefix + _LAST}}, {field: 1}).sort(field).limit(1)), {}
            )
            text = row.get(field)
            if type(text) is not str or not text.startswith(prefix):
                break
            found[text] = None
            beyond = {"$gt": text}
    return list(found)
