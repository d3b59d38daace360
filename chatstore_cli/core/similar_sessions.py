"""Ids of sessions that may have been meant, when no session has the id that was typed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic

from chatstore_cli.core.similar import similar_names, spellings
from chatstore_cli.core.time_limits import time_limited
from chatstore_cli.domain.errors import ChatstoreError
from chatstore_cli.domain.queries import SessionQuery
from chatstore_cli.domain.session_reader import ReaderOfIds, SessionReader

SECONDS = 0.3
"""The time for all suggestions together."""
_NEWEST = 200
_SHORTEST_PREFIX = 3
_LONGEST_ID = 500
_MOST = 3


def similar_sessions(readers: Sequence[SessionReader], session_id: str) -> list[str]:
    """Ids like this one, the likeliest first: another spelling of it, longer ids, and close ones among the newest.

    Takes at most SECONDS. Whatever fails is left out, because the error about the missing session is what counts.
    """
    if len(session_id) > _LONGEST_ID:
        return []
    deadline = monotonic() + SECONDS

    def of_all(look_up: Callable[[SessionReader, str], list[str]]) -> list[str]:
        found: dict[str, None] = {}
        for reader in readers:
            if (remaining := deadline - monotonic()) > 0:
                with suppress(ChatstoreError), time_limited(reader, remaining):
                    found |= dict.fromkeys(look_up(reader, session_id))
        return list(found)

    found = of_all(_other_spellings) or of_all(_longer_ids) or similar_names(session_id, of_all(_newest_ids))
    # A reader beside those that the command searched may have this very id.
    return [each for each in found if each != session_id][:_MOST]


def layouts_with(readers: Sequence[SessionReader], session_id: str) -> list[str]:
    """The layouts that have a session with this id. Takes at most SECONDS, and leaves out what fails."""
    found: list[str] = []
    deadline = monotonic() + SECONDS
    for reader in readers:
        if (remaining := deadline - monotonic()) > 0:
            with suppress(ChatstoreError), time_limited(reader, remaining):
                found += [reader.layout] if reader.find(session_id) is not None else []
    return found


def _other_spellings(reader: SessionReader, session_id: str) -> list[str]:
    return [each for each in spellings(session_id) if reader.find(each) is not None]


def _longer_ids(reader: SessionReader, session_id: str) -> list[str]:
    beginnings = [session_id, *spellings(session_id)]
    if not isinstance(reader, ReaderOfIds):
        return []
    return [
        found
        for each in dict.fromkeys(beginnings)
        if len(each) >= _SHORTEST_PREFIX
        for found in reader.ids_beginning_with(each, _MOST)
    ]


def _newest_ids(reader: SessionReader, _: str) -> list[str]:
    return [session.session_id for session in reader.newest_first(SessionQuery(), None, _NEWEST)]
