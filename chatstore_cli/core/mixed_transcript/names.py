"""Finds the sessions and positions that a person names on the command line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from chatstore_cli.core.mixed_transcript.sources import Readers
from chatstore_cli.core.readers import WHOLE_ID, not_searched
from chatstore_cli.domain.errors import BadValue, Conflict, NotFound
from chatstore_cli.domain.mixed_transcript import ClientPosition, TranscriptSource
from chatstore_cli.domain.shared_ids import SharedId

_NUMBER = re.compile(r"-1|[0-9]{1,19}")


def named_sources(
    readers: Readers, names: Iterable[str], say: Callable[[str], object] = lambda _: None
) -> dict[str, TranscriptSource]:
    """The session of each name: its id, or `LAYOUT:ID` if two layouts have the id. Raises NotFound and Conflict.

    `say` gets a notice for each session whose id several documents have.
    """
    found: dict[str, TranscriptSource] = {}
    for name in names:
        session = _named(readers, name)
        found[name] = TranscriptSource(session.layout, session.id_given)
        if session.shared_id is not None:
            say(session.shared_id.note())
    return found


class _Named(NamedTuple):
    """A session that was found by the id in its name."""

    layout: str
    id_given: str
    shared_id: SharedId | None


def _named(readers: Readers, name: str) -> _Named:
    found = {layout: session for layout, reader in readers.items() if (session := reader.find(name)) is not None}
    layouts = [*found]
    if len(layouts) > 1:
        choices = " or ".join(f"{layout}:{name}" for layout in layouts)
        what = f"Session {name!r} is in the layouts {' and '.join(layouts)}."
        raise Conflict(what=what, hint=f"Choose one: {choices}.")
    if layouts:
        return _Named(layouts[0], name, found[layouts[0]].shared_id)
    layout, _, session_id = name.partition(":")
    if layout in readers and (session := readers[layout].find(session_id)) is not None:
        return _Named(layout, session_id, session.shared_id)
    hint = WHOLE_ID + not_searched(list(readers.values()))
    raise NotFound(kind_of_thing="session", name=name, where=f" in {' or '.join(readers)}", hint=hint)


def named_positions(
    texts: Iterable[str], sources: Mapping[str, TranscriptSource]
) -> dict[TranscriptSource, ClientPosition]:
    """The positions of texts `NAME=SEQUENCE`; the names are those of the sources. Raises BadValue."""
    positions: dict[TranscriptSource, ClientPosition] = {}
    for text in texts:
        name, _, number = text.rpartition("=")
        if name not in sources or not _NUMBER.fullmatch(number):
            expected = "SESSION_ID=SEQUENCE, with a SESSION_ID of the command line"
            raise BadValue(name="--after", value=text, expected=expected)
        positions[sources[name]] = ClientPosition(sequence=int(number))
    return positions
