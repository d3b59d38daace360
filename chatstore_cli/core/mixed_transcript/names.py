"""Finds the sessions and positions that a person names on the command line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from chatstore_cli.core.mixed_transcript.sources import Readers
from chatstore_cli.core.readers import WHOLE_ID, not_searched
from chatstore_cli.domain.errors import BadValue, Conflict, NotFound
from chatstore_cli.domain.mixed_transcript import ClientPosition, TranscriptSource

_NUMBER = re.compile(r"-1|[0-9]{1,19}")


def named_sources(readers: Readers, names: Iterable[str]) -> dict[str, TranscriptSource]:
    """The session of each name: its id, or `LAYOUT:ID` if two layouts have the id. Raises NotFound and Conflict."""
    return {name: _named(readers, name) for name in names}


def _named(readers: Readers, name: str) -> TranscriptSource:
    layouts = [layout for layout, reader in readers.items() if reader.find(name) is not None]
    if len(layouts) > 1:
        choices = " or ".join(f"{layout}:{name}" for layout in layouts)
        what = f"Session {name!r} is in the layouts {' and '.join(layouts)}."
        raise Conflict(what=what, hint=f"Choose one: {choices}.")
    if layouts:
        return TranscriptSource(layouts[0], name)
    layout, _, session_id = name.partition(":")
    if layout in readers and readers[layout].find(session_id) is not None:
        return TranscriptSource(layout, session_id)
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
